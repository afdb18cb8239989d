// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {RegionalCurrency} from "../src/RegionalCurrency.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {OddToken} from "./tokens/OddToken.sol";

contract LockBatchWithAuthorizationTest is EscrowTest {
    uint256 private constant FIRST_KEY = 5000;

    function test_lockBatchWithAuthorization__aHundredPayers() public {
        (Terms[] memory batch, Authorization[] memory authorizations) = payers(100);
        vm.prank(relayer);
        escrow.lockBatchWithAuthorization(batch, authorizations);
        for (uint256 i; i < 100; ++i) {
            assertLock(batch[i], Status.Locked, 0);
            assertEq(token.balanceOf(batch[i].payer), 0);
        }
        assertEq(token.balanceOf(address(escrow)), 100 * uint256(AMOUNT));
    }

    function test_lockBatchWithAuthorization__tokensInTurn() public {
        RegionalCurrency first = token;
        RegionalCurrency second = deployCurrency();
        Terms[] memory batch = new Terms[](4);
        Authorization[] memory authorizations = new Authorization[](4);
        for (uint256 i; i < 4; ++i) {
            token = i % 2 == 0 ? first : second;
            token.mint(payer, AMOUNT);
            batch[i] = someTerms();
            batch[i].deal = bytes32(i);
            authorizations[i] = authorized(batch[i], PAYER_KEY);
        }
        escrow.lockBatchWithAuthorization(batch, authorizations);
        assertEq(first.balanceOf(address(escrow)), 2 * uint256(AMOUNT));
        assertEq(second.balanceOf(address(escrow)), 2 * uint256(AMOUNT));
    }

    /// A run of a token that moves nothing is found out, wherever it stands.
    function test_lockBatchWithAuthorization__oneTokenMovesNothing() public {
        OddToken odd = new OddToken();
        for (uint256 i; i < 3; ++i) {
            (Terms[] memory batch, Authorization[] memory authorizations) = payers(3);
            batch[i].token = address(odd);
            authorizations[i] = authorized(batch[i], FIRST_KEY + i);
            vm.expectRevert(abi.encodeWithSelector(BalanceMismatch.selector, address(odd), AMOUNT, 0));
            escrow.lockBatchWithAuthorization(batch, authorizations);
        }
    }

    function test_lockBatchWithAuthorization__oneBadSignature() public {
        (Terms[] memory batch, Authorization[] memory authorizations) = payers(3);
        authorizations[2] = authorizations[1];
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        escrow.lockBatchWithAuthorization(batch, authorizations);
        assertLock(batch[0], Status.None, 0);
    }

    function test_lockBatchWithAuthorization__sameTermsTwice() public {
        (Terms[] memory batch, Authorization[] memory authorizations) = payers(2);
        (batch[1], authorizations[1]) = (batch[0], authorizations[0]);
        expectBadStatus(escrow.idOf(batch[0]), Status.Locked);
        escrow.lockBatchWithAuthorization(batch, authorizations);
    }

    function test_lockBatchWithAuthorization__lengthsDiffer() public {
        (Terms[] memory batch,) = payers(2);
        vm.expectRevert(abi.encodeWithSelector(LengthMismatch.selector, 2, 1));
        escrow.lockBatchWithAuthorization(batch, new Authorization[](1));
    }

    function test_lockBatchWithAuthorization__empty() public {
        escrow.lockBatchWithAuthorization(new Terms[](0), new Authorization[](0));
        assertBalances(0, 0, 0);
    }

    function payers(uint256 n) private returns (Terms[] memory batch, Authorization[] memory authorizations) {
        batch = manyTerms(n);
        authorizations = new Authorization[](n);
        for (uint256 i; i < n; ++i) {
            batch[i].payer = vm.addr(FIRST_KEY + i);
            token.mint(batch[i].payer, AMOUNT);
            authorizations[i] = authorized(batch[i], FIRST_KEY + i);
        }
    }
}
