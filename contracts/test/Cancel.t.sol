// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract CancelTest is EscrowTest {
    function test_cancel__burnsTheId() public {
        Authorization memory authorization = authorized(someTerms(), PAYER_KEY);
        bytes32 id = escrow.idOf(someTerms());
        vm.expectEmit(address(escrow));
        emit Cancelled(id);
        vm.prank(payer);
        escrow.cancel(someTerms());
        assertEq(uint256(escrow.lockOf(someTerms()).status), uint256(Status.Cancelled));
        expectBadStatus(id, Status.Cancelled);
        escrow.lockWithAuthorization(someTerms(), authorization);
    }

    function test_cancel__notPayer() public {
        vm.prank(relayer);
        vm.expectRevert(abi.encodeWithSelector(NotPayer.selector, relayer, payer));
        escrow.cancel(someTerms());
    }

    function test_cancel__locked() public {
        bytes32 id = locked(someTerms());
        expectBadStatus(id, Status.Locked);
        vm.prank(payer);
        escrow.cancel(someTerms());
    }

    function test_cancel__twice() public {
        vm.startPrank(payer);
        escrow.cancel(someTerms());
        expectBadStatus(escrow.idOf(someTerms()), Status.Cancelled);
        escrow.cancel(someTerms());
        vm.stopPrank();
    }

    function test_cancel__nothingToSettle() public {
        vm.prank(payer);
        escrow.cancel(someTerms());
        bytes32 id = escrow.idOf(someTerms());
        bytes32[2][] memory committed = commit(id);
        bytes32[2][] memory aborted = abort(id);
        expectBadStatus(id, Status.Cancelled);
        escrow.release(address(token), payee, id, committed);
        expectBadStatus(id, Status.Cancelled);
        escrow.refund(someTerms(), aborted);
        vm.warp(someTerms().expiry);
        expectBadStatus(id, Status.Cancelled);
        escrow.reclaim(someTerms());
    }
}
