// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract ReclaimTest is EscrowTest {
    bytes32 private id;

    function setUp() public override {
        super.setUp();
        id = locked(someTerms());
    }

    function test_reclaim__byAnybodyToThePayer() public {
        vm.warp(someTerms().expiry);
        vm.expectEmit(address(escrow));
        emit Reclaimed(id);
        vm.prank(relayer);
        escrow.reclaim(someTerms());
        assertLock(someTerms(), Status.Reclaimed, 0);
        assertBalances(0, 0, 0);
    }

    function test_reclaim__oneSecondBeforeExpiry() public {
        vm.warp(someTerms().expiry - 1);
        vm.expectRevert(abi.encodeWithSelector(NotExpired.selector, id, someTerms().expiry));
        escrow.reclaim(someTerms());
    }

    function test_reclaim__exactlyAtExpiry() public {
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        assertBalances(0, 0, 0);
    }

    function test_reclaim__longAfterExpiry() public {
        vm.warp(someTerms().expiry + 3650 days);
        escrow.reclaim(someTerms());
        assertBalances(0, 0, 0);
    }

    function test_reclaim__restOfAMeteredLock() public {
        escrow.meter(someTerms(), 30, metering(id, 30, false));
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        assertLock(someTerms(), Status.Reclaimed, 30);
        assertBalances(30, 0, 30);
    }

    function test_reclaim__nothingLeftOfAMeteredLock() public {
        escrow.meter(someTerms(), AMOUNT, metering(id, AMOUNT, false));
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_reclaim__twice() public {
        locked(termsOf("another deal"));
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        expectRefused(Status.Reclaimed);
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_reclaim__released() public {
        escrow.release(address(token), payee, id, commit(id));
        vm.warp(someTerms().expiry);
        expectRefused(Status.Released);
    }

    function test_reclaim__refunded() public {
        escrow.refund(someTerms(), abort(id));
        vm.warp(someTerms().expiry);
        expectRefused(Status.Refunded);
    }

    function test_reclaim__closed() public {
        escrow.close(someTerms(), 30, metering(id, 30, true));
        vm.warp(someTerms().expiry);
        expectRefused(Status.Closed);
    }

    function test_reclaim__neverLocked() public {
        Terms memory terms = termsOf("another deal");
        vm.warp(terms.expiry);
        expectBadStatus(escrow.idOf(terms), Status.None);
        escrow.reclaim(terms);
    }

    function test_reclaim__earlierExpiryThanLocked() public {
        Terms memory terms = someTerms();
        terms.expiry = uint40(NOW);
        expectBadStatus(escrow.idOf(terms), Status.None);
        escrow.reclaim(terms);
    }

    function testFuzz_reclaim__fromExpiryOn(uint40 time) public {
        vm.warp(time);
        bool expired = time >= someTerms().expiry;
        if (!expired) vm.expectRevert(abi.encodeWithSelector(NotExpired.selector, id, someTerms().expiry));
        escrow.reclaim(someTerms());
        assertBalances(expired ? 0 : AMOUNT, expired ? 0 : AMOUNT, 0);
    }

    function expectRefused(Status status) private {
        expectBadStatus(id, status);
        escrow.reclaim(someTerms());
    }
}
