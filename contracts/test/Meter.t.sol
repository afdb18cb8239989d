// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract MeterTest is EscrowTest {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = locked(someTerms());
    }

    function test_meter__paysUpToCumulativeAndSaysSo() public {
        meter(30);
        bytes32[2][] memory certificate = metering(id, 50, false);
        vm.expectEmit(address(escrow));
        emit Metered(id, 50, 20);
        vm.prank(relayer);
        escrow.meter(someTerms(), 50, certificate);
        assertLock(someTerms(), Status.Metered, 50);
        assertBalances(AMOUNT, AMOUNT - 50, 50);
    }

    function test_meter__sameCumulativeTwicePaysOnce() public {
        meter(30);
        meter(30);
        assertLock(someTerms(), Status.Metered, 30);
        assertBalances(AMOUNT, AMOUNT - 30, 30);
    }

    function test_meter__lowerCumulativeIsStale() public {
        meter(30);
        meter(29);
        assertLock(someTerms(), Status.Metered, 30);
        assertBalances(AMOUNT, AMOUNT - 30, 30);
    }

    function test_meter__nothingLeavesItLocked() public {
        meter(0);
        assertLock(someTerms(), Status.Locked, 0);
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_meter__wholeAmount() public {
        meter(AMOUNT);
        assertLock(someTerms(), Status.Metered, AMOUNT);
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_meter__oneAboveAmount() public {
        bytes32[2][] memory certificate = metering(id, AMOUNT + 1, false);
        vm.expectRevert(abi.encodeWithSelector(AboveAmount.selector, id, AMOUNT + 1, AMOUNT));
        escrow.meter(someTerms(), AMOUNT + 1, certificate);
    }

    function test_meter__certificateOfAnotherSum() public {
        bytes32[2][] memory certificate = metering(id, 30, false);
        vm.expectRevert();
        escrow.meter(someTerms(), 31, certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_meter__certificateToClose() public {
        bytes32[2][] memory certificate = metering(id, 30, true);
        vm.expectRevert();
        escrow.meter(someTerms(), 30, certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_meter__oneSecondBeforeExpiry() public {
        vm.warp(someTerms().expiry - 1);
        meter(30);
        assertBalances(AMOUNT, AMOUNT - 30, 30);
    }

    function test_meter__exactlyAtExpiry() public {
        expectExpired(someTerms().expiry);
    }

    function test_meter__afterExpiry() public {
        expectExpired(someTerms().expiry + 1);
    }

    function test_meter__released() public {
        escrow.release(address(token), payee, id, commit(id));
        expectRefused(Status.Released);
    }

    function test_meter__refunded() public {
        escrow.refund(someTerms(), abort(id));
        expectRefused(Status.Refunded);
    }

    function test_meter__closed() public {
        escrow.close(someTerms(), 1, metering(id, 1, true));
        expectRefused(Status.Closed);
    }

    function test_meter__reclaimed() public {
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        expectRefused(Status.Reclaimed);
    }

    function testFuzz_meter__paysTheHighest(uint96[6] memory cumulatives) public {
        uint96 highest;
        for (uint256 i; i < cumulatives.length; ++i) {
            uint96 cumulative = uint96(bound(cumulatives[i], 0, AMOUNT));
            meter(cumulative);
            if (cumulative > highest) highest = cumulative;
            assertBalances(AMOUNT, AMOUNT - highest, highest);
        }
    }

    function meter(uint96 cumulative) private {
        escrow.meter(someTerms(), cumulative, metering(id, cumulative, false));
    }

    function expectExpired(uint256 time) private {
        vm.warp(time);
        bytes32[2][] memory certificate = metering(id, 30, false);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
        escrow.meter(someTerms(), 30, certificate);
    }

    function expectRefused(Status status) private {
        bytes32[2][] memory certificate = metering(id, 30, false);
        expectBadStatus(id, status);
        escrow.meter(someTerms(), 30, certificate);
    }
}
