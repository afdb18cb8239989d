// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {ReentrantToken} from "./tokens/ReentrantToken.sol";

/// No verb can be entered while another is calling a token.
contract ReentrancyTest is EscrowTest {
    ReentrantToken private hook;
    bytes[] private verbs;

    function setUp() public override {
        super.setUp();
        hook = new ReentrantToken();
        hook.mint(payer, 1000 * uint256(AMOUNT));
        bytes32[2][] memory none = new bytes32[2][](0);
        Terms memory terms = someTerms();
        Authorization memory authorization;
        verbs.push(abi.encodeCall(escrow.lock, (terms)));
        verbs.push(abi.encodeCall(escrow.lockBatch, (new Terms[](0))));
        verbs.push(abi.encodeWithSignature(WITH_AUTHORIZATION, terms, authorization));
        verbs.push(abi.encodeWithSignature(WITH_SIGNATURE, terms, 0, ""));
        verbs.push(abi.encodeCall(escrow.lockBatchWithAuthorization, (new Terms[](0), new Authorization[](0))));
        verbs.push(abi.encodeCall(escrow.lockWithPermit, (terms, 0, 0, 0, 0, "")));
        verbs.push(abi.encodeCall(escrow.cancel, (terms)));
        verbs.push(abi.encodeCall(escrow.release, (address(hook), payee, 0, none)));
        verbs.push(abi.encodeCall(escrow.releaseBatch, (new Payout[](0), none)));
        verbs.push(abi.encodeCall(escrow.refund, (terms, none)));
        verbs.push(abi.encodeCall(escrow.refundBatch, (new Terms[](0), none)));
        verbs.push(abi.encodeCall(escrow.meter, (terms, 1, none)));
        verbs.push(abi.encodeCall(escrow.close, (terms, 1, none)));
        verbs.push(abi.encodeCall(escrow.reclaim, (terms)));
    }

    string private constant WITH_AUTHORIZATION =
        "lockWithAuthorization((address,address,address,uint96,uint40,bytes32),(uint256,bytes32,bytes32))";
    string private constant WITH_SIGNATURE =
        "lockWithAuthorization((address,address,address,uint96,uint40,bytes32),uint256,bytes)";

    function test_reentrancy__duringLock() public {
        for (uint256 i; i < verbs.length; ++i) {
            Terms memory terms = hooked(i);
            vm.startPrank(payer);
            hook.approve(address(escrow), AMOUNT);
            hook.arm(address(escrow), verbs[i]);
            escrow.lock(terms);
            vm.stopPrank();
            assertGuarded();
            assertLock(terms, Status.Locked, 0);
        }
    }

    function test_reentrancy__duringRelease() public {
        for (uint256 i; i < verbs.length; ++i) {
            bytes32 id = locked(hooked(i));
            hook.arm(address(escrow), verbs[i]);
            escrow.release(address(hook), payee, id, commit(id));
            assertGuarded();
        }
        assertEq(hook.balanceOf(payee), verbs.length * AMOUNT);
    }

    function test_reentrancy__duringReclaim() public {
        for (uint256 i; i < verbs.length; ++i) {
            Terms memory terms = hooked(i);
            vm.warp(NOW);
            locked(terms);
            vm.warp(terms.expiry);
            hook.arm(address(escrow), verbs[i]);
            escrow.reclaim(terms);
            assertGuarded();
        }
        assertEq(hook.balanceOf(address(escrow)), 0);
    }

    /// Settling the same id again from within its own payment pays nothing more.
    function test_reentrancy__sameIdFromItsOwnPayment() public {
        bytes32 id = locked(hooked(0));
        locked(hooked(1));
        bytes32[2][] memory certificate = commit(id);
        hook.arm(address(escrow), abi.encodeCall(escrow.release, (address(hook), payee, id, certificate)));
        escrow.release(address(hook), payee, id, certificate);
        assertGuarded();
        assertEq(hook.balanceOf(payee), AMOUNT);
        assertEq(hook.balanceOf(address(escrow)), AMOUNT);
    }

    function hooked(uint256 i) private view returns (Terms memory terms) {
        terms = someTerms();
        (terms.token, terms.deal) = (address(hook), bytes32(i));
    }

    function assertGuarded() private view {
        assertEq(bytes32(hook.answer()), bytes32(ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector));
    }
}
