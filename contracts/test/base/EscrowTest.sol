// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {Escrow} from "../../src/Escrow.sol";
import {IEscrowTypes} from "../../src/IEscrowTypes.sol";
import {RegionalCurrency} from "../../src/RegionalCurrency.sol";
import {Test} from "./Test.sol";

/// A day on which an escrow of 2-of-3 attestors, a currency, a payer and a payee exist.
abstract contract EscrowTest is Test, IEscrowTypes {
    uint256 internal constant NOW = 1_800_000_000;
    uint256 internal constant PAYER_KEY = 0xA11CE;
    uint256 internal constant STRANGER_KEY = 0xBAD;
    uint96 internal constant AMOUNT = 100e18;
    uint8 internal constant COMMIT = 1;
    uint8 internal constant ABORT = 2;

    Escrow internal escrow;
    RegionalCurrency internal token;
    address internal payer = vm.addr(PAYER_KEY);
    address internal payee = address(0xB0B);
    address internal relayer = address(0xCAFE);
    /// ascending by address
    uint256[] internal attestorKeys;

    function setUp() public virtual {
        vm.warp(NOW);
        attestorKeys = ascending(1, 3);
        escrow = deployEscrow(addressesOf(attestorKeys), 2, 1 days);
        token = deployCurrency();
        token.mint(payer, 1000 * uint256(AMOUNT));
    }

    /// The optimised build, byte for byte what is in artifacts/: `new` would deploy one compiled as the tests are.
    function deployEscrow(address[] memory attestors, uint8 threshold, uint256 delay) internal returns (Escrow) {
        return Escrow(vm.deployCode("out/Escrow.sol/Escrow.json", abi.encode(attestors, threshold, delay)));
    }

    function deployCurrency() internal returns (RegionalCurrency) {
        bytes memory args = abi.encode("Yen", "JPYr", 18, address(this));
        return RegionalCurrency(vm.deployCode("out/RegionalCurrency.sol/RegionalCurrency.json", args));
    }

    // ------------------------------------------------------------------------------------------------- locks

    function someTerms() internal view returns (Terms memory) {
        return termsOf("a deal");
    }

    function termsOf(string memory deal) internal view returns (Terms memory) {
        return Terms(payer, payee, address(token), AMOUNT, uint40(NOW + 1 hours), keccak256(bytes(deal)));
    }

    /// n terms of the payer, told apart by their deals
    function manyTerms(uint256 n) internal view returns (Terms[] memory batch) {
        batch = new Terms[](n);
        for (uint256 i; i < n; ++i) {
            batch[i] = someTerms();
            batch[i].deal = bytes32(i);
        }
    }

    function locked(Terms memory terms) internal returns (bytes32 id) {
        vm.startPrank(terms.payer);
        IERC20(terms.token).approve(address(escrow), terms.amount);
        id = escrow.lock(terms);
        vm.stopPrank();
    }

    function lockAll(Terms[] memory batch) internal returns (bytes32[] memory ids) {
        ids = new bytes32[](batch.length);
        for (uint256 i; i < batch.length; ++i) {
            ids[i] = locked(batch[i]);
        }
    }

    function assertLock(Terms memory terms, Status status, uint256 released) internal view {
        Lock memory lock = escrow.lockOf(terms);
        assertEq(uint256(lock.status), uint256(status));
        assertEq(lock.expiry, status == Status.None ? 0 : terms.expiry);
        assertEq(lock.amount, status == Status.None ? 0 : terms.amount);
        assertEq(lock.released, released);
    }

    function assertBalances(uint256 ofPayerBelowStart, uint256 ofEscrow, uint256 ofPayee) internal view {
        assertEq(token.balanceOf(payer), 1000 * uint256(AMOUNT) - ofPayerBelowStart);
        assertEq(token.balanceOf(address(escrow)), ofEscrow);
        assertEq(token.balanceOf(payee), ofPayee);
    }

    function expectBadStatus(bytes32 id, Status status) internal {
        vm.expectRevert(abi.encodeWithSelector(BadStatus.selector, id, status));
    }

    // ------------------------------------------------------------------------------------------ certificates

    function commit(bytes32 id) internal view returns (bytes32[2][] memory) {
        return settlement(COMMIT, only(id));
    }

    function abort(bytes32 id) internal view returns (bytes32[2][] memory) {
        return settlement(ABORT, only(id));
    }

    function settlement(uint8 outcome, bytes32[] memory ids) internal view returns (bytes32[2][] memory) {
        return certificate(settlementHash(outcome, ids));
    }

    function metering(bytes32 id, uint96 cumulative, bool close) internal view returns (bytes32[2][] memory) {
        bytes32 typehash = keccak256("Metering(bytes32 id,uint96 cumulative,bool close)");
        return certificate(keccak256(abi.encode(typehash, id, cumulative, close)));
    }

    function settlementHash(uint8 outcome, bytes32[] memory ids) internal pure returns (bytes32) {
        bytes32 typehash = keccak256("Settlement(uint8 outcome,bytes32[] ids)");
        return keccak256(abi.encode(typehash, outcome, keccak256(abi.encodePacked(ids))));
    }

    function changeHash(address[] memory attestors, uint8 threshold, uint256 nonce) internal pure returns (bytes32) {
        bytes32 typehash = keccak256("AttestorChange(address[] attestors,uint8 threshold,uint256 nonce)");
        return keccak256(abi.encode(typehash, keccak256(abi.encodePacked(attestors)), threshold, nonce));
    }

    /// signed by the first two attestors
    function certificate(bytes32 structHash) internal view returns (bytes32[2][] memory) {
        return certificate(structHash, attestorKeys[0], attestorKeys[1]);
    }

    function certificate(bytes32 structHash, uint256 first, uint256 second)
        internal
        view
        returns (bytes32[2][] memory signatures)
    {
        signatures = new bytes32[2][](2);
        signatures[0] = compact(first, digestOf(structHash));
        signatures[1] = compact(second, digestOf(structHash));
    }

    /// EIP-712, worked out apart from the escrow
    function digestOf(bytes32 structHash) internal view returns (bytes32) {
        return digestOf(structHash, "ConnectionChain Escrow", address(escrow));
    }

    function digestOf(bytes32 structHash, string memory name, address verifier) internal view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
        return keccak256(abi.encodePacked("\x19\x01", domain, structHash));
    }

    // -------------------------------------------------------------------------------------------- signatures

    /// ERC-2098
    function compact(uint256 key, bytes32 digest) internal pure returns (bytes32[2] memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return [r, bytes32(uint256(s) | uint256(v - 27) << 255)];
    }

    function long(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function receiveDigest(Terms memory terms, uint256 validBefore) internal view returns (bytes32) {
        bytes32 typehash = keccak256(
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
        );
        bytes32 id = escrow.idOf(terms);
        bytes32 structHash =
            keccak256(abi.encode(typehash, terms.payer, address(escrow), terms.amount, 0, validBefore, id));
        return digestOf(structHash, "Yen", terms.token);
    }

    function authorized(Terms memory terms, uint256 key) internal view returns (Authorization memory) {
        bytes32[2] memory signature = compact(key, receiveDigest(terms, terms.expiry));
        return Authorization(terms.expiry, signature[0], signature[1]);
    }

    // ------------------------------------------------------------------------------------------------ arrays

    function only(bytes32 id) internal pure returns (bytes32[] memory ids) {
        ids = new bytes32[](1);
        ids[0] = id;
    }

    function only(Terms memory terms) internal pure returns (Terms[] memory batch) {
        batch = new Terms[](1);
        batch[0] = terms;
    }

    function only(Payout memory payout) internal pure returns (Payout[] memory batch) {
        batch = new Payout[](1);
        batch[0] = payout;
    }

    function toPayee(bytes32[] memory ids) internal view returns (Payout[] memory) {
        return only(Payout(address(token), payee, ids));
    }

    /// n keys from `first` on, sorted by their addresses
    function ascending(uint256 first, uint256 n) internal pure returns (uint256[] memory keys) {
        keys = new uint256[](n);
        for (uint256 i; i < n; ++i) {
            uint256 key = first + i;
            uint256 j = i;
            for (; j > 0 && vm.addr(keys[j - 1]) > vm.addr(key); --j) {
                keys[j] = keys[j - 1];
            }
            keys[j] = key;
        }
    }

    function addressesOf(uint256[] memory keys) internal pure returns (address[] memory addresses) {
        addresses = new address[](keys.length);
        for (uint256 i; i < keys.length; ++i) {
            addresses[i] = vm.addr(keys[i]);
        }
    }
}
