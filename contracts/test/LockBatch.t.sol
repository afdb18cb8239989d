// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";
import {FeeToken} from "./tokens/FeeToken.sol";
import {PlainToken} from "./tokens/PlainToken.sol";

contract LockBatchTest is EscrowTest {
    function test_lockBatch__aHundred() public {
        Terms[] memory batch = manyTerms(100);
        lockBatch(batch);
        for (uint256 i; i < 100; ++i) {
            assertLock(batch[i], Status.Locked, 0);
        }
        assertBalances(100 * uint256(AMOUNT), 100 * uint256(AMOUNT), 0);
    }

    function test_lockBatch__tokensInTurn() public {
        PlainToken other = new PlainToken();
        other.mint(payer, 2 * uint256(AMOUNT));
        vm.prank(payer);
        other.approve(address(escrow), type(uint256).max);
        Terms[] memory batch = manyTerms(4);
        batch[1].token = batch[3].token = address(other);
        lockBatch(batch);
        assertEq(token.balanceOf(address(escrow)), 2 * uint256(AMOUNT));
        assertEq(other.balanceOf(address(escrow)), 2 * uint256(AMOUNT));
    }

    function test_lockBatch__empty() public {
        lockBatch(manyTerms(0));
        assertBalances(0, 0, 0);
    }

    function test_lockBatch__oneOfAnotherPayer() public {
        Terms[] memory batch = manyTerms(2);
        batch[1].payer = relayer;
        expectRefused(batch, abi.encodeWithSelector(NotPayer.selector, payer, relayer));
    }

    function test_lockBatch__sameTermsTwice() public {
        Terms[] memory batch = manyTerms(2);
        batch[1] = batch[0];
        expectRefused(batch, abi.encodeWithSelector(BadStatus.selector, escrow.idOf(batch[0]), Status.Locked));
    }

    function test_lockBatch__oneExpired() public {
        Terms[] memory batch = manyTerms(2);
        batch[1].expiry = uint40(NOW);
        expectRefused(batch, abi.encodeWithSelector(Expired.selector, escrow.idOf(batch[1]), NOW));
    }

    function test_lockBatch__feeOnTransfer() public {
        FeeToken fee = new FeeToken();
        fee.mint(payer, 2 * uint256(AMOUNT));
        vm.prank(payer);
        fee.approve(address(escrow), type(uint256).max);
        Terms[] memory batch = manyTerms(2);
        batch[0].token = batch[1].token = address(fee);
        uint256 sum = 2 * uint256(AMOUNT);
        expectRefused(batch, abi.encodeWithSelector(BalanceMismatch.selector, address(fee), sum, sum - 1));
    }

    function lockBatch(Terms[] memory batch) private {
        vm.startPrank(payer);
        token.approve(address(escrow), type(uint256).max);
        escrow.lockBatch(batch);
        vm.stopPrank();
    }

    function expectRefused(Terms[] memory batch, bytes memory reason) private {
        vm.startPrank(payer);
        token.approve(address(escrow), type(uint256).max);
        vm.expectRevert(reason);
        escrow.lockBatch(batch);
        vm.stopPrank();
        assertLock(batch[0], Status.None, 0);
    }
}
