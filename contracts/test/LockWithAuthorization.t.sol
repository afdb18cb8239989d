// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {RegionalCurrency} from "../src/RegionalCurrency.sol";
import {ContractWallet} from "./base/ContractWallet.sol";
import {EscrowTest} from "./base/EscrowTest.sol";
import {OddToken} from "./tokens/OddToken.sol";

contract LockWithAuthorizationTest is EscrowTest {
    function test_lockWithAuthorization__relayed() public {
        Terms memory terms = someTerms();
        vm.prank(relayer);
        bytes32 id = escrow.lockWithAuthorization(terms, authorized(terms, PAYER_KEY));
        assertEq(id, escrow.idOf(terms));
        assertLock(terms, Status.Locked, 0);
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_lockWithAuthorization__otherTermsThanSigned() public {
        Authorization memory authorization = authorized(someTerms(), PAYER_KEY);
        Terms memory terms = someTerms();
        terms.payee = relayer;
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        escrow.lockWithAuthorization(terms, authorization);
    }

    function test_lockWithAuthorization__signedByAnother() public {
        Authorization memory authorization = authorized(someTerms(), STRANGER_KEY);
        vm.expectRevert(ERC3009.ERC3009InvalidSignature.selector);
        escrow.lockWithAuthorization(someTerms(), authorization);
    }

    function test_lockWithAuthorization__cancelledOnTheToken() public {
        bytes32 id = escrow.idOf(someTerms());
        bytes32 typehash = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        bytes32 digest = digestOf(keccak256(abi.encode(typehash, payer, id)), "Yen", address(token));
        token.cancelAuthorization(payer, id, long(PAYER_KEY, digest));
        Authorization memory authorization = authorized(someTerms(), PAYER_KEY);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, id));
        escrow.lockWithAuthorization(someTerms(), authorization);
        assertLock(someTerms(), Status.None, 0);
    }

    function test_lockWithAuthorization__oneSecondBeforeValidBefore() public {
        vm.warp(someTerms().expiry - 1); // authorized() is valid before the expiry
        escrow.lockWithAuthorization(someTerms(), authorized(someTerms(), PAYER_KEY));
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_lockWithAuthorization__exactlyAtValidBefore() public {
        bytes memory signature = long(PAYER_KEY, receiveDigest(someTerms(), NOW));
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009InvalidAuthorizationTime.selector, 0, NOW));
        escrow.lockWithAuthorization(someTerms(), NOW, signature);
    }

    function test_lockWithAuthorization__twice() public {
        Authorization memory authorization = authorized(someTerms(), PAYER_KEY);
        bytes32 id = escrow.lockWithAuthorization(someTerms(), authorization);
        expectBadStatus(id, Status.Locked);
        escrow.lockWithAuthorization(someTerms(), authorization);
    }

    function test_lockWithAuthorization__signatureOfAnyForm() public {
        bytes memory signature = long(PAYER_KEY, receiveDigest(someTerms(), someTerms().expiry));
        escrow.lockWithAuthorization(someTerms(), someTerms().expiry, signature);
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_lockWithAuthorization__contractPayer() public {
        Terms memory terms = someTerms();
        terms.payer = address(new ContractWallet(payer));
        token.mint(terms.payer, AMOUNT);
        bytes memory signature = long(PAYER_KEY, receiveDigest(terms, terms.expiry));
        escrow.lockWithAuthorization(terms, terms.expiry, signature);
        assertLock(terms, Status.Locked, 0);
        assertEq(token.balanceOf(terms.payer), 0);
    }

    function test_lockWithAuthorization__contractPayerSignedByAnother() public {
        Terms memory terms = someTerms();
        terms.payer = address(new ContractWallet(relayer));
        token.mint(terms.payer, AMOUNT);
        bytes32 digest = receiveDigest(terms, terms.expiry);
        bytes memory signature = long(PAYER_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(RegionalCurrency.BadSignature.selector, terms.payer, digest));
        escrow.lockWithAuthorization(terms, terms.expiry, signature);
    }

    /// An account that has taken code (EIP-7702) still signs with its key.
    function test_lockWithAuthorization__keyWithCode() public {
        vm.etch(payer, hex"00");
        bytes memory signature = long(PAYER_KEY, receiveDigest(someTerms(), someTerms().expiry));
        escrow.lockWithAuthorization(someTerms(), someTerms().expiry, signature);
        assertLock(someTerms(), Status.Locked, 0);
    }

    /// A token whose fallback swallows the call moves nothing.
    function test_lockWithAuthorization__tokenIgnoresTheCall() public {
        OddToken odd = new OddToken();
        Terms memory terms = someTerms();
        terms.token = address(odd);
        vm.expectRevert(abi.encodeWithSelector(BalanceMismatch.selector, address(odd), AMOUNT, 0));
        escrow.lockWithAuthorization(terms, Authorization(terms.expiry, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(BalanceMismatch.selector, address(odd), AMOUNT, 0));
        escrow.lockWithAuthorization(terms, terms.expiry, "");
    }

    function test_lockWithAuthorization__tokenWithoutCode() public {
        Terms memory terms = someTerms();
        terms.token = address(0xDEAD);
        vm.expectRevert(abi.encodeWithSelector(NoCode.selector, terms.token));
        escrow.lockWithAuthorization(terms, Authorization(terms.expiry, 0, 0));
        vm.expectRevert(abi.encodeWithSelector(NoCode.selector, terms.token));
        escrow.lockWithAuthorization(terms, terms.expiry, "");
    }

    function test_lockWithAuthorization__exactlyAtExpiry() public {
        Terms memory terms = someTerms();
        terms.expiry = uint40(NOW);
        bytes memory signature = long(PAYER_KEY, receiveDigest(terms, NOW + 1));
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, escrow.idOf(terms), NOW));
        escrow.lockWithAuthorization(terms, NOW + 1, signature);
    }
}
