// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ContractWallet} from "./base/ContractWallet.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {OddToken} from "./tokens/OddToken.sol";

contract LockWithPermitTest is EscrowTest {
    function test_lockWithPermit__relayed() public {
        lockWithPermit(someTerms(), PAYER_KEY, PAYER_KEY);
        assertLock(someTerms(), Status.Locked, 0);
        assertBalances(AMOUNT, AMOUNT, 0);
        assertEq(token.allowance(payer, address(escrow)), 0);
    }

    function test_lockWithPermit__permitUsedByAFrontRunner() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, permitDigest(someTerms()));
        bytes memory signature = long(PAYER_KEY, escrow.idOf(someTerms()));
        vm.prank(relayer);
        token.permit(payer, address(escrow), AMOUNT, NOW, v, r, s);
        escrow.lockWithPermit(someTerms(), NOW, v, r, s, signature);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_lockWithPermit__approvedBefore() public {
        vm.prank(payer);
        token.approve(address(escrow), AMOUNT);
        lockWithPermit(someTerms(), STRANGER_KEY, PAYER_KEY);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_lockWithPermit__permitOfAnother() public {
        expectRefused(
            STRANGER_KEY,
            PAYER_KEY,
            abi.encodeWithSelector(IERC20Errors.ERC20InsufficientAllowance.selector, address(escrow), 0, AMOUNT)
        );
    }

    /// An allowance alone never lets a relayer choose the terms.
    function test_lockWithPermit__termsSignedByAnother() public {
        vm.prank(payer);
        token.approve(address(escrow), AMOUNT);
        bytes32 id = escrow.idOf(someTerms());
        expectRefused(PAYER_KEY, STRANGER_KEY, abi.encodeWithSelector(BadTermsSignature.selector, id, payer));
    }

    function test_lockWithPermit__otherTermsThanSigned() public {
        bytes memory signature = long(PAYER_KEY, escrow.idOf(someTerms()));
        Terms memory terms = someTerms();
        terms.payee = relayer;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(PAYER_KEY, permitDigest(terms));
        vm.expectRevert(abi.encodeWithSelector(BadTermsSignature.selector, escrow.idOf(terms), payer));
        escrow.lockWithPermit(terms, NOW, v, r, s, signature);
    }

    function test_lockWithPermit__twice() public {
        vm.prank(payer);
        token.approve(address(escrow), type(uint256).max);
        bytes32 id = lockWithPermit(someTerms(), PAYER_KEY, PAYER_KEY);
        expectRefused(PAYER_KEY, PAYER_KEY, abi.encodeWithSelector(BadStatus.selector, id, Status.Locked));
    }

    function test_lockWithPermit__contractPayer() public {
        ContractWallet wallet = new ContractWallet(payer);
        Terms memory terms = someTerms();
        terms.payer = address(wallet);
        token.mint(address(wallet), AMOUNT);
        wallet.execute(address(token), abi.encodeCall(token.approve, (address(escrow), AMOUNT)));
        lockWithPermit(terms, STRANGER_KEY, PAYER_KEY);
        assertLock(terms, Status.Locked, 0);
    }

    function test_lockWithPermit__contractPayerSignedByAnother() public {
        Terms memory terms = someTerms();
        terms.payer = address(new ContractWallet(payer));
        bytes memory signature = long(STRANGER_KEY, escrow.idOf(terms));
        vm.expectRevert(abi.encodeWithSelector(BadTermsSignature.selector, escrow.idOf(terms), terms.payer));
        escrow.lockWithPermit(terms, NOW, 27, 0, 0, signature);
    }

    /// An account that has taken code (EIP-7702) still signs with its key.
    function test_lockWithPermit__keyWithCode() public {
        vm.etch(payer, hex"00");
        lockWithPermit(someTerms(), PAYER_KEY, PAYER_KEY);
        assertLock(someTerms(), Status.Locked, 0);
    }

    /// A fallback that swallows permit() does not make an allowance.
    function test_lockWithPermit__tokenIgnoresPermit() public {
        OddToken odd = new OddToken();
        odd.behave(OddToken.Manner.Lying);
        Terms memory terms = someTerms();
        terms.token = address(odd);
        bytes memory signature = long(PAYER_KEY, escrow.idOf(terms));
        vm.expectRevert(abi.encodeWithSelector(BalanceMismatch.selector, address(odd), AMOUNT, 0));
        escrow.lockWithPermit(terms, NOW, 27, 0, 0, signature);
    }

    function test_lockWithPermit__tokenWithoutCode() public {
        Terms memory terms = someTerms();
        terms.token = address(0xDEAD);
        bytes memory signature = long(PAYER_KEY, escrow.idOf(terms));
        vm.expectRevert(abi.encodeWithSelector(NoCode.selector, terms.token));
        escrow.lockWithPermit(terms, NOW, 27, 0, 0, signature);
    }

    function test_lockWithPermit__exactlyAtExpiry() public {
        vm.warp(someTerms().expiry);
        bytes32 id = escrow.idOf(someTerms());
        expectRefused(PAYER_KEY, PAYER_KEY, abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
    }

    function permitDigest(Terms memory terms) private view returns (bytes32) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        uint256 nonce = token.nonces(terms.payer);
        return digestOf(
            keccak256(abi.encode(typehash, terms.payer, address(escrow), terms.amount, nonce, NOW)), "Yen", terms.token
        );
    }

    function lockWithPermit(Terms memory terms, uint256 permitKey, uint256 termsKey) private returns (bytes32) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(permitKey, permitDigest(terms));
        bytes memory signature = long(termsKey, escrow.idOf(terms));
        vm.prank(relayer);
        return escrow.lockWithPermit(terms, NOW, v, r, s, signature);
    }

    function expectRefused(uint256 permitKey, uint256 termsKey, bytes memory reason) private {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(permitKey, permitDigest(someTerms()));
        bytes memory signature = long(termsKey, escrow.idOf(someTerms()));
        vm.expectRevert(reason);
        escrow.lockWithPermit(someTerms(), NOW, v, r, s, signature);
    }
}
