// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {AttestorQuorum} from "../src/AttestorQuorum.sol";
import {EscrowTest} from "./base/EscrowTest.sol";

/// How the attestor set is made and changed.
contract AttestorsTest is EscrowTest {
    event AttestorsScheduled(address[] attestors, uint8 threshold, uint256 nonce, uint256 appliesAt);
    event AttestorsApplied(address[] attestors, uint8 threshold);

    /// keys of the next set: 3 of 4, of whom none was there before
    uint256[] private nextKeys = ascending(100, 4);
    address[] private next = addressesOf(nextKeys);

    // ------------------------------------------------------------------------------------------- constructor

    function test_constructor__setsTheQuorum() public view {
        address[] memory attestors = escrow.attestors();
        assertEq(attestors.length, 3);
        for (uint256 i; i < 3; ++i) {
            assertEq(attestors[i], vm.addr(attestorKeys[i]));
            assertTrue(escrow.isAttestor(attestors[i]), "a member is an attestor");
        }
        assertTrue(!escrow.isAttestor(relayer), "a stranger is none");
        assertEq(escrow.threshold(), 2);
        assertEq(escrow.rotationDelay(), 1 days);
    }

    function test_constructor__delayOfADay() public {
        assertEq(deployEscrow(next, 3, 1 days).rotationDelay(), 1 days);
    }

    function test_constructor__delayOneSecondTooShort() public {
        expectNotDeployed(next, 3, 1 days - 1);
    }

    function test_constructor__thresholds() public {
        assertEq(deployEscrow(next, 3, 1 days).threshold(), 3);
        assertEq(deployEscrow(next, 4, 1 days).threshold(), 4);
        expectNotDeployed(next, 0, 1 days);
        expectNotDeployed(next, 5, 1 days);
    }

    function test_constructor__halfIsNotEnough() public {
        expectNotDeployed(next, 2, 1 days);
        expectNotDeployed(addressesOf(ascending(1, 3)), 1, 1 days);
        assertEq(deployEscrow(addressesOf(ascending(1, 3)), 2, 1 days).threshold(), 2);
        assertEq(deployEscrow(addressesOf(ascending(1, 1)), 1, 1 days).threshold(), 1);
    }

    function test_constructor__noAttestors() public {
        expectNotDeployed(new address[](0), 0, 1 days);
        expectNotDeployed(new address[](0), 1, 1 days);
    }

    function test_constructor__sizes() public {
        assertEq(deployEscrow(addressesOf(ascending(1, 32)), 32, 1 days).attestors().length, 32);
        expectNotDeployed(addressesOf(ascending(1, 33)), 32, 1 days);
    }

    function test_constructor__notAscending() public {
        (next[0], next[1]) = (next[1], next[0]);
        expectNotDeployed(next, 3, 1 days);
    }

    function test_constructor__duplicate() public {
        next[1] = next[0];
        expectNotDeployed(next, 3, 1 days);
    }

    function test_constructor__zeroAddress() public {
        next[0] = address(0);
        expectNotDeployed(next, 3, 1 days);
    }

    // ---------------------------------------------------------------------------------------------- schedule

    function test_scheduleAttestors__announces() public {
        bytes32[2][] memory signatures = certificate(changeHash(next, 3, 0));
        vm.expectEmit(address(escrow));
        emit AttestorsScheduled(next, 3, 0, NOW + 1 days);
        vm.prank(relayer);
        escrow.scheduleAttestors(next, 3, signatures);
        assertEq(escrow.attestorNonce(), 1);
        assertEq(escrow.scheduledFor(), NOW + 1 days);
        assertEq(escrow.scheduledChange(), keccak256(abi.encode(next, uint8(3))));
        assertEq(escrow.threshold(), 2);
        assertTrue(!escrow.isAttestor(next[0]), "not in force yet");
    }

    function test_scheduleAttestors__certificateUsedTwice() public {
        bytes32[2][] memory signatures = certificate(changeHash(next, 3, 0));
        escrow.scheduleAttestors(next, 3, signatures);
        vm.expectRevert();
        escrow.scheduleAttestors(next, 3, signatures);
        assertEq(escrow.attestorNonce(), 1);
    }

    function test_scheduleAttestors__otherSetThanSigned() public {
        bytes32[2][] memory signatures = certificate(changeHash(next, 3, 0));
        vm.expectRevert();
        escrow.scheduleAttestors(next, 2, signatures);
        assertEq(escrow.scheduledFor(), 0);
    }

    function test_scheduleAttestors__badSet() public {
        bytes32[2][] memory signatures = certificate(changeHash(next, 5, 0));
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.BadThreshold.selector, 5, 4));
        escrow.scheduleAttestors(next, 5, signatures);
    }

    function test_scheduleAttestors__laterReplacesEarlier() public {
        schedule(next, 3, 0);
        address[] memory present = escrow.attestors();
        schedule(present, 2, 1);
        vm.warp(NOW + 1 days);
        expectNotScheduled(next, 3);
        escrow.applyAttestors(present, 2); // which is how a change is called off
        assertTrue(escrow.isAttestor(present[0]) && !escrow.isAttestor(next[0]), "as before");
    }

    // ------------------------------------------------------------------------------------------------- apply

    function test_applyAttestors__exactlyAfterTheDelay() public {
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days);
        vm.expectEmit(address(escrow));
        emit AttestorsApplied(next, 3);
        vm.prank(relayer);
        escrow.applyAttestors(next, 3);
        assertEq(escrow.attestors().length, 4);
        assertEq(escrow.attestors()[3], next[3]);
        assertEq(escrow.threshold(), 3);
        assertTrue(escrow.isAttestor(next[0]), "in force");
        for (uint256 i; i < 3; ++i) {
            assertTrue(!escrow.isAttestor(vm.addr(attestorKeys[i])), "removed");
        }
    }

    function test_applyAttestors__oneSecondEarly() public {
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days - 1);
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.TooEarly.selector, NOW + 1 days, NOW + 1 days - 1));
        escrow.applyAttestors(next, 3);
    }

    function test_applyAttestors__neverScheduled() public {
        expectNotScheduled(next, 3);
    }

    function test_applyAttestors__otherThresholdThanScheduled() public {
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days);
        expectNotScheduled(next, 2);
    }

    function test_applyAttestors__twice() public {
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days);
        escrow.applyAttestors(next, 3);
        expectNotScheduled(next, 3);
    }

    function test_applyAttestors__removedAttestorsSignNoMore() public {
        Terms memory terms = someTerms();
        terms.expiry = uint40(NOW + 7 days);
        bytes32 id = locked(terms);
        bytes32[2][] memory byTheOld = commit(id);
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days);
        escrow.applyAttestors(next, 3);
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.NotAttestor.selector, vm.addr(attestorKeys[0])));
        escrow.release(address(token), payee, id, byTheOld);
        escrow.release(address(token), payee, id, signedByNext(settlementHash(COMMIT, only(id))));
        assertLock(terms, Status.Released, 0);
    }

    /// Who stays signs under the new threshold, not under the one they were appointed with.
    function test_applyAttestors__whoStaysKeepsTheNewThreshold() public {
        address[] memory present = escrow.attestors();
        schedule(present, 3, 0);
        vm.warp(NOW + 1 days);
        escrow.applyAttestors(present, 3);
        Terms memory terms = someTerms();
        terms.expiry = uint40(NOW + 7 days);
        bytes32 id = locked(terms);
        bytes32[2][] memory two = commit(id);
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.WrongSignatureCount.selector, 2, 3));
        escrow.release(address(token), payee, id, two);
    }

    function test_applyAttestors__nextSetRulesItsSuccession() public {
        schedule(next, 3, 0);
        vm.warp(NOW + 1 days);
        escrow.applyAttestors(next, 3);
        address[] memory after_ = addressesOf(attestorKeys);
        bytes32[2][] memory byTheOld = certificate(changeHash(after_, 2, 1));
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.NotAttestor.selector, vm.addr(attestorKeys[0])));
        escrow.scheduleAttestors(after_, 2, byTheOld);
        escrow.scheduleAttestors(after_, 2, signedByNext(changeHash(after_, 2, 1)));
        assertEq(escrow.scheduledFor(), NOW + 2 days);
    }

    function schedule(address[] memory attestors, uint8 threshold, uint256 nonce) private {
        escrow.scheduleAttestors(attestors, threshold, certificate(changeHash(attestors, threshold, nonce)));
    }

    function signedByNext(bytes32 structHash) private view returns (bytes32[2][] memory signatures) {
        signatures = new bytes32[2][](3);
        for (uint256 i; i < 3; ++i) {
            signatures[i] = compact(nextKeys[i], digestOf(structHash));
        }
    }

    function expectNotScheduled(address[] memory attestors, uint8 threshold) private {
        bytes32 change = keccak256(abi.encode(attestors, threshold));
        bytes32 scheduled = escrow.scheduledChange();
        vm.expectRevert(abi.encodeWithSelector(AttestorQuorum.NotScheduled.selector, change, scheduled));
        escrow.applyAttestors(attestors, threshold);
    }

    function expectNotDeployed(address[] memory attestors, uint8 threshold, uint256 delay) private {
        try this.tryDeploy(attestors, threshold, delay) {
            assertTrue(false, "was deployed");
        } catch {}
    }

    function tryDeploy(address[] memory attestors, uint8 threshold, uint256 delay) external {
        deployEscrow(attestors, threshold, delay);
    }
}
