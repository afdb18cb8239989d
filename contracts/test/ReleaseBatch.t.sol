// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {Vm} from "./base/Test.sol";
import {PlainToken} from "./tokens/PlainToken.sol";

contract ReleaseBatchTest is EscrowTest {
    function test_releaseBatch__aHundredInOneTransfer() public {
        bytes32[] memory ids = lockAll(manyTerms(100));
        vm.recordLogs();
        escrow.releaseBatch(toPayee(ids), settlement(COMMIT, ids));
        assertBalances(100 * uint256(AMOUNT), 0, 100 * uint256(AMOUNT));
        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 101); // a Released for each id, one Transfer
        assertEq(logs[100].topics[0], IERC20.Transfer.selector);
    }

    function test_releaseBatch__tokensAndPayees() public {
        PlainToken other = new PlainToken();
        other.mint(payer, AMOUNT);
        Terms[] memory batch = manyTerms(4);
        batch[2].payee = relayer;
        batch[3].token = address(other);
        bytes32[] memory ids = lockAll(batch);
        Payout[] memory payouts = new Payout[](3);
        payouts[0] = Payout(address(token), payee, new bytes32[](2));
        (payouts[0].ids[0], payouts[0].ids[1]) = (ids[0], ids[1]);
        payouts[1] = Payout(address(token), relayer, only(ids[2]));
        payouts[2] = Payout(address(other), payee, only(ids[3]));
        escrow.releaseBatch(payouts, settlement(COMMIT, ids));
        assertBalances(3 * uint256(AMOUNT), 0, 2 * uint256(AMOUNT));
        assertEq(token.balanceOf(relayer), AMOUNT);
        assertEq(other.balanceOf(payee), AMOUNT);
    }

    /// The ids of all payouts are one list to the attestors: cutting it elsewhere leads to no lock.
    function test_releaseBatch__idUnderAnotherPayout() public {
        Terms[] memory batch = manyTerms(2);
        batch[1].payee = relayer;
        bytes32[] memory ids = lockAll(batch);
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        expectBadStatus(ids[1], Status.None);
        escrow.releaseBatch(toPayee(ids), certificate);
        assertBalances(2 * uint256(AMOUNT), 2 * uint256(AMOUNT), 0);
    }

    function test_releaseBatch__otherOrderThanSigned() public {
        bytes32[] memory ids = lockAll(manyTerms(2));
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        (ids[0], ids[1]) = (ids[1], ids[0]);
        vm.expectRevert();
        escrow.releaseBatch(toPayee(ids), certificate);
        assertBalances(2 * uint256(AMOUNT), 2 * uint256(AMOUNT), 0);
    }

    function test_releaseBatch__duplicateIdPaysOnce() public {
        bytes32[] memory ids = lockAll(manyTerms(2));
        bytes32[] memory signed = new bytes32[](3);
        (signed[0], signed[1], signed[2]) = (ids[0], ids[0], ids[0]);
        escrow.releaseBatch(toPayee(signed), settlement(COMMIT, signed));
        assertBalances(2 * uint256(AMOUNT), AMOUNT, AMOUNT);
    }

    /// A front-runner who releases one id first spoils nothing.
    function test_releaseBatch__oneReleasedBefore() public {
        bytes32[] memory ids = lockAll(manyTerms(3));
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        escrow.release(address(token), payee, ids[1], commit(ids[1]));
        escrow.releaseBatch(toPayee(ids), certificate);
        assertBalances(3 * uint256(AMOUNT), 0, 3 * uint256(AMOUNT));
    }

    function test_releaseBatch__twice() public {
        bytes32[] memory ids = lockAll(manyTerms(3));
        lockAll(only(termsOf("another deal")));
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        escrow.releaseBatch(toPayee(ids), certificate);
        escrow.releaseBatch(toPayee(ids), certificate);
        assertBalances(4 * uint256(AMOUNT), AMOUNT, 3 * uint256(AMOUNT));
    }

    function test_releaseBatch__oneRefunded() public {
        Terms[] memory batch = manyTerms(2);
        bytes32[] memory ids = lockAll(batch);
        escrow.refund(batch[1], abort(ids[1]));
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        expectBadStatus(ids[1], Status.Refunded);
        escrow.releaseBatch(toPayee(ids), certificate);
        assertLock(batch[0], Status.Locked, 0);
    }

    function test_releaseBatch__oneExpired() public {
        Terms[] memory batch = manyTerms(2);
        batch[1].expiry = uint40(NOW + 1);
        bytes32[] memory ids = lockAll(batch);
        vm.warp(NOW + 1);
        bytes32[2][] memory certificate = settlement(COMMIT, ids);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, ids[1], NOW + 1));
        escrow.releaseBatch(toPayee(ids), certificate);
        assertLock(batch[0], Status.Locked, 0);
    }

    function test_releaseBatch__empty() public {
        bytes32[] memory none = new bytes32[](0);
        locked(someTerms());
        escrow.releaseBatch(new Payout[](0), settlement(COMMIT, none));
        escrow.releaseBatch(toPayee(none), settlement(COMMIT, none));
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function testFuzz_releaseBatch__paysTheSumOfWhatIsLocked(uint96[8] memory amounts, uint8 releasedBefore) public {
        Terms[] memory batch = manyTerms(amounts.length);
        uint256 sum;
        for (uint256 i; i < batch.length; ++i) {
            batch[i].amount = uint96(bound(amounts[i], 1, type(uint96).max));
            token.mint(payer, batch[i].amount);
            sum += batch[i].amount;
        }
        bytes32[] memory ids = lockAll(batch);
        for (uint256 i; i < ids.length; ++i) {
            if (releasedBefore >> i & 1 == 1) escrow.release(address(token), payee, ids[i], commit(ids[i]));
        }
        escrow.releaseBatch(toPayee(ids), settlement(COMMIT, ids));
        assertEq(token.balanceOf(payee), sum);
        assertEq(token.balanceOf(address(escrow)), 0);
    }
}
