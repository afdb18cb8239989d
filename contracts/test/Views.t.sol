// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract ViewsTest is EscrowTest {
    function testFuzz_idOf__isTheTypedDataDigest(Terms memory terms) public view {
        bytes32 typehash =
            keccak256("EscrowTerms(address payer,address payee,address token,uint96 amount,uint40 expiry,bytes32 deal)");
        assertEq(escrow.idOf(terms), digestOf(keccak256(abi.encode(typehash, terms))));
    }

    function test_lockOf__neverLocked() public view {
        assertLock(someTerms(), Status.None, 0);
    }

    function test_lockOf__otherTerms() public {
        locked(someTerms());
        assertLock(termsOf("another deal"), Status.None, 0);
    }

    function testFuzz_lockOf__everyFieldInItsPlace(uint96 amount, uint40 expiry, uint96 cumulative) public {
        Terms memory terms = someTerms();
        terms.amount = uint96(bound(amount, 1, type(uint96).max));
        terms.expiry = uint40(bound(expiry, NOW + 1, type(uint40).max));
        cumulative = uint96(bound(cumulative, 1, terms.amount));
        token.mint(payer, terms.amount);
        bytes32 id = locked(terms);
        assertLock(terms, Status.Locked, 0);
        escrow.meter(terms, cumulative, metering(id, cumulative, false));
        assertLock(terms, Status.Metered, cumulative);
        escrow.close(terms, cumulative, metering(id, cumulative, true));
        assertLock(terms, Status.Closed, cumulative);
    }

    function test_eip712Domain__asSigned() public view {
        (, string memory name, string memory version, uint256 chainId, address verifier,,) = escrow.eip712Domain();
        assertEq(keccak256(bytes(name)), keccak256("ConnectionChain Escrow"));
        assertEq(keccak256(bytes(version)), keccak256("1"));
        assertEq(chainId, block.chainid);
        assertEq(verifier, address(escrow));
    }
}
