// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";
import {RegionalCurrency} from "../src/RegionalCurrency.sol";
import {ContractWallet} from "./base/ContractWallet.sol";
import {EscrowTest} from "./base/EscrowTest.sol";

contract RegionalCurrencyTest is EscrowTest {
    bytes32 private constant NONCE = keccak256("a nonce");
    string private constant FIELDS =
        "(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)";

    ContractWallet private wallet;

    function setUp() public override {
        super.setUp();
        wallet = new ContractWallet(payer);
        token.mint(address(wallet), AMOUNT);
    }

    function test_constructor__namesItself() public view {
        assertEq(keccak256(bytes(token.name())), keccak256("Yen"));
        assertEq(keccak256(bytes(token.symbol())), keccak256("JPYr"));
        assertEq(token.decimals(), 18);
        assertEq(token.minter(), address(this));
    }

    function test_mint__notMinter() public {
        vm.prank(payer);
        vm.expectRevert(abi.encodeWithSelector(RegionalCurrency.NotMinter.selector, payer, address(this)));
        token.mint(payer, 1);
    }

    function test_permit__contractOwner() public {
        bytes memory signature = long(PAYER_KEY, permitDigest(address(wallet), 0));
        token.permit(address(wallet), payee, AMOUNT, NOW, signature);
        assertEq(token.allowance(address(wallet), payee), AMOUNT);
    }

    function test_permit__twice() public {
        bytes memory signature = long(PAYER_KEY, permitDigest(payer, 0));
        token.permit(payer, payee, AMOUNT, NOW, signature);
        bytes memory reason =
            abi.encodeWithSelector(RegionalCurrency.BadSignature.selector, payer, permitDigest(payer, 1));
        vm.expectRevert(reason);
        token.permit(payer, payee, AMOUNT, NOW, signature);
    }

    function test_permit__oneSecondLate() public {
        bytes memory signature = long(PAYER_KEY, permitDigest(payer, 0));
        vm.warp(NOW + 1);
        vm.expectRevert(abi.encodeWithSelector(ERC20Permit.ERC2612ExpiredSignature.selector, NOW));
        token.permit(payer, payee, AMOUNT, NOW, signature);
    }

    function test_transferWithAuthorization__byAnybody() public {
        bytes32 digest = authorizationDigest("TransferWithAuthorization", address(wallet));
        vm.prank(relayer);
        token.transferWithAuthorization(address(wallet), payee, AMOUNT, 0, NOW + 1, NONCE, long(PAYER_KEY, digest));
        assertEq(token.balanceOf(payee), AMOUNT);
        assertTrue(token.authorizationState(address(wallet), NONCE), "used");
    }

    function test_transferWithAuthorization__twice() public {
        bytes memory signature = long(PAYER_KEY, authorizationDigest("TransferWithAuthorization", payer));
        token.transferWithAuthorization(payer, payee, AMOUNT, 0, NOW + 1, NONCE, signature);
        vm.expectRevert(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, payer, NONCE));
        token.transferWithAuthorization(payer, payee, AMOUNT, 0, NOW + 1, NONCE, signature);
    }

    function test_receiveWithAuthorization__byThePayee() public {
        bytes memory signature = long(PAYER_KEY, authorizationDigest("ReceiveWithAuthorization", payer));
        vm.prank(payee);
        token.receiveWithAuthorization(payer, payee, AMOUNT, 0, NOW + 1, NONCE, signature);
        assertEq(token.balanceOf(payee), AMOUNT);
    }

    function test_receiveWithAuthorization__byAnother() public {
        bytes memory signature = long(PAYER_KEY, authorizationDigest("ReceiveWithAuthorization", payer));
        vm.prank(relayer);
        vm.expectRevert(abi.encodeWithSelector(IERC20Errors.ERC20InvalidReceiver.selector, payee));
        token.receiveWithAuthorization(payer, payee, AMOUNT, 0, NOW + 1, NONCE, signature);
    }

    function test_receiveWithAuthorization__signedToTransfer() public {
        bytes memory signature = long(PAYER_KEY, authorizationDigest("TransferWithAuthorization", payer));
        bytes32 digest = authorizationDigest("ReceiveWithAuthorization", payer);
        vm.prank(payee);
        vm.expectRevert(abi.encodeWithSelector(RegionalCurrency.BadSignature.selector, payer, digest));
        token.receiveWithAuthorization(payer, payee, AMOUNT, 0, NOW + 1, NONCE, signature);
    }

    function test_cancelAuthorization__contractAuthorizer() public {
        bytes32 typehash = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        bytes32 digest = digestOf(keccak256(abi.encode(typehash, address(wallet), NONCE)), "Yen", address(token));
        token.cancelAuthorization(address(wallet), NONCE, long(PAYER_KEY, digest));
        assertTrue(token.authorizationState(address(wallet), NONCE), "cannot be used any more");
    }

    function test_cancelAuthorization__byAnother() public {
        bytes32 typehash = keccak256("CancelAuthorization(address authorizer,bytes32 nonce)");
        bytes32 digest = digestOf(keccak256(abi.encode(typehash, payer, NONCE)), "Yen", address(token));
        bytes memory signature = long(STRANGER_KEY, digest);
        vm.expectRevert(abi.encodeWithSelector(RegionalCurrency.BadSignature.selector, payer, digest));
        token.cancelAuthorization(payer, NONCE, signature);
    }

    function permitDigest(address owner, uint256 nonce) private view returns (bytes32) {
        bytes32 typehash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        return digestOf(keccak256(abi.encode(typehash, owner, payee, AMOUNT, nonce, NOW)), "Yen", address(token));
    }

    function authorizationDigest(string memory primaryType, address from) private view returns (bytes32) {
        bytes32 typehash = keccak256(abi.encodePacked(primaryType, FIELDS));
        bytes32 structHash = keccak256(abi.encode(typehash, from, payee, AMOUNT, 0, NOW + 1, NONCE));
        return digestOf(structHash, "Yen", address(token));
    }
}
