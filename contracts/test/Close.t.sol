// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract CloseTest is EscrowTest {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = locked(someTerms());
    }

    function test_close__paysBothAndSaysSo() public {
        escrow.meter(someTerms(), 30, metering(id, 30, false));
        bytes32[2][] memory certificate = metering(id, 50, true);
        vm.expectEmit(address(escrow));
        emit Closed(id, 50, AMOUNT - 50);
        vm.prank(relayer);
        escrow.close(someTerms(), 50, certificate);
        assertLock(someTerms(), Status.Closed, 50);
        assertBalances(50, 0, 50);
    }

    function test_close__neverMetered() public {
        close(50);
        assertLock(someTerms(), Status.Closed, 50);
        assertBalances(50, 0, 50);
    }

    function test_close__nothingUsed() public {
        close(0);
        assertLock(someTerms(), Status.Closed, 0);
        assertBalances(0, 0, 0);
    }

    function test_close__allUsed() public {
        close(AMOUNT);
        assertLock(someTerms(), Status.Closed, AMOUNT);
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_close__oneAboveAmount() public {
        bytes32[2][] memory certificate = metering(id, AMOUNT + 1, true);
        vm.expectRevert(abi.encodeWithSelector(AboveAmount.selector, id, AMOUNT + 1, AMOUNT));
        escrow.close(someTerms(), AMOUNT + 1, certificate);
    }

    function test_close__belowWhatIsPaid() public {
        escrow.meter(someTerms(), 30, metering(id, 30, false));
        close(20);
        assertLock(someTerms(), Status.Closed, 30);
        assertBalances(30, 0, 30);
    }

    function test_close__twiceIsOnce() public {
        locked(termsOf("another deal"));
        close(50);
        close(50);
        close(60);
        assertLock(someTerms(), Status.Closed, 50);
        assertBalances(AMOUNT + 50, AMOUNT, 50);
    }

    function test_close__certificateToMeter() public {
        bytes32[2][] memory certificate = metering(id, 30, false);
        vm.expectRevert();
        escrow.close(someTerms(), 30, certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_close__oneSecondBeforeExpiry() public {
        vm.warp(someTerms().expiry - 1);
        close(50);
        assertBalances(50, 0, 50);
    }

    function test_close__exactlyAtExpiry() public {
        expectExpired(someTerms().expiry);
    }

    function test_close__afterExpiry() public {
        expectExpired(someTerms().expiry + 1);
    }

    function test_close__released() public {
        escrow.release(address(token), payee, id, commit(id));
        expectRefused(Status.Released);
    }

    function test_close__refunded() public {
        escrow.refund(someTerms(), abort(id));
        expectRefused(Status.Refunded);
    }

    function test_close__reclaimed() public {
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        expectRefused(Status.Reclaimed);
    }

    function testFuzz_close__sharesTheWholeAmount(uint96 metered, uint96 cumulative) public {
        metered = uint96(bound(metered, 0, AMOUNT));
        cumulative = uint96(bound(cumulative, 0, AMOUNT));
        escrow.meter(someTerms(), metered, metering(id, metered, false));
        close(cumulative);
        uint96 paid = metered > cumulative ? metered : cumulative;
        assertBalances(paid, 0, paid);
    }

    function close(uint96 cumulative) private {
        escrow.close(someTerms(), cumulative, metering(id, cumulative, true));
    }

    function expectExpired(uint256 time) private {
        vm.warp(time);
        bytes32[2][] memory certificate = metering(id, 30, true);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
        escrow.close(someTerms(), 30, certificate);
    }

    function expectRefused(Status status) private {
        bytes32[2][] memory certificate = metering(id, 30, true);
        expectBadStatus(id, status);
        escrow.close(someTerms(), 30, certificate);
    }
}
