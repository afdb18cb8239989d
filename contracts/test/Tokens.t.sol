// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {BlocklistToken} from "./tokens/BlocklistToken.sol";
import {FeeToken} from "./tokens/FeeToken.sol";
import {OddToken} from "./tokens/OddToken.sol";

/// Tokens that do not do what the standard says.
contract TokensTest is EscrowTest {
    OddToken private odd = new OddToken();

    function setUp() public override {
        super.setUp();
        odd.mint(payer, AMOUNT);
    }

    function test_token__feeOnTransfer() public {
        FeeToken fee = new FeeToken();
        fee.mint(payer, AMOUNT);
        vm.prank(payer);
        fee.approve(address(escrow), AMOUNT);
        expectNotLocked(
            address(fee), abi.encodeWithSelector(BalanceMismatch.selector, address(fee), AMOUNT, AMOUNT - 1)
        );
    }

    function test_token__answersNothing() public {
        bytes32 id = locked(termsIn(address(odd)));
        escrow.release(address(odd), payee, id, commit(id));
        assertEq(odd.balanceOf(payee), AMOUNT);
        assertEq(odd.balanceOf(address(escrow)), 0);
    }

    function test_token__answersFalse() public {
        odd.behave(OddToken.Manner.False);
        expectNotLocked(
            address(odd), abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(odd))
        );
    }

    function test_token__answersFalseOnTheWayOut() public {
        Terms memory terms = termsIn(address(odd));
        bytes32 id = locked(terms);
        odd.behave(OddToken.Manner.False);
        bytes32[2][] memory certificate = commit(id);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(odd)));
        escrow.release(address(odd), payee, id, certificate);
        assertLock(terms, Status.Locked, 0);
    }

    function test_token__reverts() public {
        odd.behave(OddToken.Manner.Reverting);
        expectNotLocked(address(odd), abi.encodeWithSelector(OddToken.Refused.selector));
    }

    function test_token__onlyClaimsToHaveMoved() public {
        odd.behave(OddToken.Manner.Lying);
        expectNotLocked(address(odd), abi.encodeWithSelector(BalanceMismatch.selector, address(odd), AMOUNT, 0));
    }

    /// A payee who can receive nothing holds up only their own lock, and the payer has it back after expiry.
    function test_token__payeeIsBlocked() public {
        BlocklistToken blocklist = new BlocklistToken();
        blocklist.mint(payer, AMOUNT);
        Terms memory terms = termsIn(address(blocklist));
        bytes32 id = locked(terms);
        blocklist.setBlocked(payee, true);
        bytes32[2][] memory certificate = commit(id);
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, payee));
        escrow.release(address(blocklist), payee, id, certificate);
        vm.warp(terms.expiry);
        escrow.reclaim(terms);
        assertEq(blocklist.balanceOf(payer), AMOUNT);
    }

    function test_token__payerIsBlockedForAWhile() public {
        BlocklistToken blocklist = new BlocklistToken();
        blocklist.mint(payer, AMOUNT);
        Terms memory terms = termsIn(address(blocklist));
        locked(terms);
        blocklist.setBlocked(payer, true);
        vm.warp(terms.expiry);
        vm.expectRevert(abi.encodeWithSelector(BlocklistToken.Blocked.selector, payer));
        escrow.reclaim(terms);
        blocklist.setBlocked(payer, false);
        escrow.reclaim(terms);
        assertEq(blocklist.balanceOf(payer), AMOUNT);
    }

    /// What somebody sends by mistake is nobody's lock, and locking goes on.
    function test_token__sentToTheEscrowByMistake() public {
        vm.prank(payer);
        token.transfer(address(escrow), 7);
        bytes32 id = locked(someTerms());
        escrow.release(address(token), payee, id, commit(id));
        assertBalances(AMOUNT + 7, 7, AMOUNT);
    }

    function termsIn(address asset) private view returns (Terms memory terms) {
        terms = someTerms();
        terms.token = asset;
    }

    function expectNotLocked(address asset, bytes memory reason) private {
        Terms memory terms = termsIn(asset);
        vm.prank(payer);
        vm.expectRevert(reason);
        escrow.lock(terms);
        assertLock(terms, Status.None, 0);
    }
}
