// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";
import {Vm} from "./base/Test.sol";
import {PlainToken} from "./tokens/PlainToken.sol";

contract RefundBatchTest is EscrowTest {
    function test_refundBatch__aHundredInOneTransfer() public {
        Terms[] memory batch = manyTerms(100);
        bytes32[] memory ids = lockAll(batch);
        vm.recordLogs();
        escrow.refundBatch(batch, settlement(ABORT, ids));
        assertEq(vm.getRecordedLogs().length, 101); // a Refunded for each id, one Transfer
        assertBalances(0, 0, 0);
    }

    function test_refundBatch__payersAndTokensInTurn() public {
        PlainToken other = new PlainToken();
        other.mint(payer, AMOUNT);
        other.mint(relayer, AMOUNT);
        token.mint(relayer, AMOUNT);
        Terms[] memory batch = manyTerms(4);
        batch[1].token = batch[2].token = address(other);
        batch[2].payer = batch[3].payer = relayer;
        bytes32[] memory ids = lockAll(batch);
        escrow.refundBatch(batch, settlement(ABORT, ids));
        assertBalances(0, 0, 0);
        assertEq(other.balanceOf(payer), AMOUNT);
        assertEq(other.balanceOf(relayer), AMOUNT);
        assertEq(token.balanceOf(relayer), AMOUNT);
    }

    function test_refundBatch__sameTermsTwicePayOnce() public {
        Terms[] memory batch = manyTerms(2);
        bytes32[] memory ids = lockAll(batch);
        (batch[1], ids[1]) = (batch[0], ids[0]);
        escrow.refundBatch(batch, settlement(ABORT, ids));
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_refundBatch__oneRefundedBefore() public {
        Terms[] memory batch = manyTerms(3);
        bytes32[] memory ids = lockAll(batch);
        escrow.refund(batch[2], abort(ids[2]));
        escrow.refundBatch(batch, settlement(ABORT, ids));
        assertBalances(0, 0, 0);
    }

    function test_refundBatch__oneReleased() public {
        Terms[] memory batch = manyTerms(2);
        bytes32[] memory ids = lockAll(batch);
        escrow.release(address(token), payee, ids[1], commit(ids[1]));
        bytes32[2][] memory certificate = settlement(ABORT, ids);
        expectBadStatus(ids[1], Status.Released);
        escrow.refundBatch(batch, certificate);
        assertLock(batch[0], Status.Locked, 0);
    }

    function test_refundBatch__oneExpired() public {
        Terms[] memory batch = manyTerms(2);
        batch[1].expiry = uint40(NOW + 1);
        bytes32[] memory ids = lockAll(batch);
        vm.warp(NOW + 1);
        bytes32[2][] memory certificate = settlement(ABORT, ids);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, ids[1], NOW + 1));
        escrow.refundBatch(batch, certificate);
    }

    function test_refundBatch__certificateToCommit() public {
        Terms[] memory batch = manyTerms(2);
        bytes32[] memory ids = lockAll(batch);
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        vm.expectRevert();
        escrow.refundBatch(batch, certificate);
        assertLock(batch[0], Status.Locked, 0);
    }

    function test_refundBatch__empty() public {
        locked(someTerms());
        escrow.refundBatch(new Terms[](0), settlement(ABORT, new bytes32[](0)));
        assertBalances(AMOUNT, AMOUNT, 0);
    }
}
