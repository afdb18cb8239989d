// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {AttestorQuorum} from "../src/AttestorQuorum.sol";
import {EscrowTest} from "./base/EscrowTest.sol";

/// What counts as a certificate; `release` stands for every verb that asks for one.
contract CertificateTest is EscrowTest {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    bytes32 private id;
    bytes32 private settle;

    function setUp() public override {
        super.setUp();
        id = locked(someTerms());
        settle = settlementHash(COMMIT, only(id));
    }

    function test_certificate__anyTwoOfThree() public {
        (uint256 first, uint256 second, uint256 third) = (attestorKeys[0], attestorKeys[1], attestorKeys[2]);
        escrow.release(address(token), payee, id, certificate(settle, first, second));
        escrow.release(address(token), payee, id, certificate(settle, first, third));
        escrow.release(address(token), payee, id, certificate(settle, second, third));
        assertLock(someTerms(), Status.Released, 0);
    }

    function test_certificate__none() public {
        expectRefused(new bytes32[2][](0), abi.encodeWithSelector(AttestorQuorum.WrongSignatureCount.selector, 0, 2));
    }

    function test_certificate__oneTooFew() public {
        bytes32[2][] memory signatures = new bytes32[2][](1);
        signatures[0] = compact(attestorKeys[0], digestOf(settle));
        expectRefused(signatures, abi.encodeWithSelector(AttestorQuorum.WrongSignatureCount.selector, 1, 2));
    }

    function test_certificate__oneTooMany() public {
        bytes32[2][] memory signatures = new bytes32[2][](3);
        for (uint256 i; i < 3; ++i) {
            signatures[i] = compact(attestorKeys[i], digestOf(settle));
        }
        expectRefused(signatures, abi.encodeWithSelector(AttestorQuorum.WrongSignatureCount.selector, 3, 2));
    }

    function test_certificate__sameSignerTwice() public {
        address signer = vm.addr(attestorKeys[0]);
        expectRefused(
            certificate(settle, attestorKeys[0], attestorKeys[0]),
            abi.encodeWithSelector(AttestorQuorum.NotAscending.selector, signer, signer)
        );
    }

    function test_certificate__descending() public {
        (address low, address high) = (vm.addr(attestorKeys[0]), vm.addr(attestorKeys[1]));
        expectRefused(
            certificate(settle, attestorKeys[1], attestorKeys[0]),
            abi.encodeWithSelector(AttestorQuorum.NotAscending.selector, high, low)
        );
    }

    function test_certificate__stranger() public {
        expectRefused(
            certificate(settle, attestorKeys[0], STRANGER_KEY),
            abi.encodeWithSelector(AttestorQuorum.NotAttestor.selector, vm.addr(STRANGER_KEY))
        );
    }

    /// The same signature with s mirrored and v flipped is another spelling of it.
    function test_certificate__malleableS() public {
        bytes32[2][] memory signatures = certificate(settle, attestorKeys[0], attestorKeys[1]);
        uint256 vs = uint256(signatures[0][1]);
        uint256 mirrored = CURVE_ORDER - (vs & (type(uint256).max >> 1));
        signatures[0][1] = bytes32(mirrored | (~vs >> 255) << 255);
        vm.expectRevert(); // its top bit is v: read compactly, it is another s or a refused one
        escrow.release(address(token), payee, id, signatures);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_certificate__sAboveHalf() public {
        bytes32[2][] memory signatures = certificate(settle, attestorKeys[0], attestorKeys[1]);
        bytes32 s = bytes32(type(uint256).max >> 1);
        signatures[0][1] = s;
        expectRefused(signatures, abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, s));
    }

    function test_certificate__wrongParity() public {
        bytes32[2][] memory signatures = certificate(settle, attestorKeys[0], attestorKeys[1]);
        signatures[0][1] ^= bytes32(uint256(1) << 255);
        vm.expectRevert();
        escrow.release(address(token), payee, id, signatures);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_certificate__zeroes() public {
        expectRefused(new bytes32[2][](2), abi.encodeWithSelector(ECDSA.ECDSAInvalidSignature.selector));
    }

    function test_certificate__otherChain() public {
        bytes32[2][] memory signatures = commit(id);
        vm.chainId(block.chainid + 1);
        vm.expectRevert();
        escrow.release(address(token), payee, id, signatures);
        assertTrue(escrow.idOf(someTerms()) != id, "ids differ between chains");
    }

    function test_certificate__otherContract() public {
        bytes32 there = digestOf(settle, "ConnectionChain Escrow", relayer);
        bytes32[2][] memory signatures = new bytes32[2][](2);
        signatures[0] = compact(attestorKeys[0], there);
        signatures[1] = compact(attestorKeys[1], there);
        vm.expectRevert();
        escrow.release(address(token), payee, id, signatures);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_certificate__everyVerbAsksForOne() public {
        bytes32[2][] memory none = new bytes32[2][](0);
        bytes[] memory calls = new bytes[](7);
        calls[0] = abi.encodeCall(escrow.release, (address(token), payee, id, none));
        calls[1] = abi.encodeCall(escrow.releaseBatch, (toPayee(only(id)), none));
        calls[2] = abi.encodeCall(escrow.refund, (someTerms(), none));
        calls[3] = abi.encodeCall(escrow.refundBatch, (only(someTerms()), none));
        calls[4] = abi.encodeCall(escrow.meter, (someTerms(), 1, none));
        calls[5] = abi.encodeCall(escrow.close, (someTerms(), 1, none));
        calls[6] = abi.encodeCall(escrow.scheduleAttestors, (escrow.attestors(), 2, none));
        for (uint256 i; i < calls.length; ++i) {
            (bool success, bytes memory reason) = address(escrow).call(calls[i]);
            assertTrue(!success, "refused");
            assertEq(bytes32(reason), bytes32(AttestorQuorum.WrongSignatureCount.selector));
        }
    }

    function testFuzz_certificate__strangersNever(uint256 first, uint256 second) public {
        first = bound(first, 1000, CURVE_ORDER - 1);
        second = bound(second, 1000, CURVE_ORDER - 1);
        bytes32[2][] memory signatures = certificate(settle, first, second);
        vm.expectRevert();
        escrow.release(address(token), payee, id, signatures);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function expectRefused(bytes32[2][] memory signatures, bytes memory reason) private {
        vm.expectRevert(reason);
        escrow.release(address(token), payee, id, signatures);
        assertLock(someTerms(), Status.Locked, 0);
    }
}
