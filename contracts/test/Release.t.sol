// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract ReleaseTest is EscrowTest {
    function test_release__paysThePayeeAndSaysSo() public {
        bytes32 id = locked(someTerms());
        bytes32[2][] memory certificate = commit(id);
        vm.expectEmit(address(escrow));
        emit Released(id);
        vm.prank(relayer);
        escrow.release(address(token), payee, id, certificate);
        assertLock(someTerms(), Status.Released, 0);
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_release__oneSecondBeforeExpiry() public {
        bytes32 id = locked(someTerms());
        vm.warp(someTerms().expiry - 1);
        escrow.release(address(token), payee, id, commit(id));
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_release__exactlyAtExpiry() public {
        expectExpired(someTerms().expiry);
    }

    function test_release__afterExpiry() public {
        expectExpired(someTerms().expiry + 1);
    }

    function test_release__twicePaysOnce() public {
        bytes32 id = locked(someTerms());
        locked(termsOf("another deal"));
        escrow.release(address(token), payee, id, commit(id));
        escrow.release(address(token), payee, id, commit(id));
        assertBalances(2 * uint256(AMOUNT), AMOUNT, AMOUNT);
    }

    function test_release__againAfterExpiry() public {
        bytes32 id = locked(someTerms());
        escrow.release(address(token), payee, id, commit(id));
        vm.warp(someTerms().expiry);
        escrow.release(address(token), payee, id, commit(id));
        assertBalances(AMOUNT, 0, AMOUNT);
    }

    function test_release__otherToken() public {
        bytes32 id = locked(someTerms());
        expectRefused(address(0x7011), payee, id, Status.None);
    }

    function test_release__otherPayee() public {
        bytes32 id = locked(someTerms());
        expectRefused(address(token), relayer, id, Status.None);
    }

    function test_release__neverLocked() public {
        expectRefused(address(token), payee, escrow.idOf(someTerms()), Status.None);
    }

    function test_release__refunded() public {
        bytes32 id = locked(someTerms());
        escrow.refund(someTerms(), abort(id));
        expectRefused(address(token), payee, id, Status.Refunded);
    }

    function test_release__metered() public {
        bytes32 id = locked(someTerms());
        escrow.meter(someTerms(), 1, metering(id, 1, false));
        expectRefused(address(token), payee, id, Status.Metered);
    }

    function test_release__closed() public {
        bytes32 id = locked(someTerms());
        escrow.close(someTerms(), 1, metering(id, 1, true));
        expectRefused(address(token), payee, id, Status.Closed);
    }

    function test_release__reclaimed() public {
        bytes32 id = locked(someTerms());
        vm.warp(someTerms().expiry);
        escrow.reclaim(someTerms());
        expectRefused(address(token), payee, id, Status.Reclaimed);
    }

    function test_release__certificateToAbort() public {
        bytes32 id = locked(someTerms());
        bytes32[2][] memory certificate = abort(id);
        vm.expectRevert(); // other bytes recover to nobody known
        escrow.release(address(token), payee, id, certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_release__certificateOfAnotherId() public {
        bytes32 id = locked(someTerms());
        bytes32[2][] memory certificate = commit(keccak256("another id"));
        vm.expectRevert();
        escrow.release(address(token), payee, id, certificate);
        assertLock(someTerms(), Status.Locked, 0);
    }

    function testFuzz_release__beforeExpiryOnly(uint256 time, uint96 amount) public {
        Terms memory terms = someTerms();
        terms.amount = uint96(bound(amount, 1, type(uint96).max));
        token.mint(payer, terms.amount);
        bytes32 id = locked(terms);
        time = bound(time, NOW, NOW + 1 days);
        vm.warp(time);
        bytes32[2][] memory certificate = commit(id);
        if (time >= terms.expiry) vm.expectRevert(abi.encodeWithSelector(Expired.selector, id, terms.expiry));
        escrow.release(address(token), payee, id, certificate);
        assertEq(token.balanceOf(payee), time < terms.expiry ? terms.amount : 0);
    }

    function expectExpired(uint256 time) private {
        bytes32 id = locked(someTerms());
        vm.warp(time);
        bytes32[2][] memory certificate = commit(id);
        vm.expectRevert(abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
        escrow.release(address(token), payee, id, certificate);
    }

    function expectRefused(address asset, address to, bytes32 id, Status status) private {
        bytes32[2][] memory certificate = commit(id);
        expectBadStatus(id, status);
        escrow.release(asset, to, id, certificate);
    }
}
