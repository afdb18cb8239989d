// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract RefundTest is EscrowTest {
    function test_refund__paysThePayerAndSaysSo() public {
        bytes32 id = locked(someTerms());
        bytes32[2][] memory certificate = abort(id);
        vm.expectEmit(address(escrow));
        emit Refunded(id);
        vm.prank(relayer);
        escrow.refund(someTerms(), certificate);
        assertLock(someTerms(), Status.Refunded, 0);
        assertBalances(0, 0, 0);
    }

    function test_refund__oneSecondBeforeExpiry() public {
        bytes32 id = locked(someTerms());
        vm.warp(someTerms().expiry - 1);
        escrow.refund(someTerms(), abort(id));
        assertBalances(0, 0, 0);
    }

    function test_refund__exactlyAtExpiry() public {
        expectExpired(someTerms().expiry);
    }

    function test_refund__afterExpiry() public {
        expectExpired(someTerms().expiry + 1);
    }

    function test_refund__twicePaysOnce() public {
        bytes32 id = locked(someTerms());
        locked(termsOf("another deal"));
        escrow.refund(someTerms(), abort(id));
        escrow.refund(someTerms(), abort(id));
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_refund__certificateToCommit() public {
        bytes32 id = locked(someTerms());
        bytes32[2][] memory certificate = commit(id);
        vm.expectRevert();
        escrow.refund(someTerms(), certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_refund__released() public {
        bytes32 id = locked(someTerms());
        escrow.release(address(token), payee, id, commit(id));
        expectRefused(id, Status.Released);
    }

    function test_refund__metered() public {
        bytes32 id = locked(someTerms());
        escrow.meter(someTerms(), 1, metering(id, 1, false));
        expectRefused(id, Status.Metered);
    }

    function test_refund__closed() public {
        bytes32 id = locked(someTerms());
        escrow.close(someTerms(), 1, metering(id, 1, true));
        expectRefused(id, Status.Closed);
    }

    function test_refund__reclaimed() public {
        bytes32 id = locked(someTerms());
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        expectRefused(id, Status.Reclaimed);
    }

    function test_refund__neverLocked() public {
        expectRefused(escrow.idOf(someTerms()), Status.None);
    }

    function expectExpired(uint256 time) private {
        bytes32 id = locked(someTerms());
        vm.warp(time);
        bytes32[2][] memory certificate = abort(id);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
        escrow.refund(someTerms(), certificate);
    }

    function expectRefused(bytes32 id, Status status) private {
        bytes32[2][] memory certificate = abort(id);
        expectBadStatus(id, status);
        escrow.refund(someTerms(), certificate);
    }
}
