// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {EscrowTest} from "./base/EscrowTest.sol";

contract LockTest is EscrowTest {
    function test_lock__movesTheAmountAndSaysSo() public {
        Terms memory terms = someTerms();
        bytes32 id = escrow.idOf(terms);
        vm.prank(payer);
        token.approve(address(escrow), AMOUNT);
        vm.expectEmit(address(escrow));
        emit Locked(id, terms.deal, payer, payee, address(token), AMOUNT, terms.expiry);
        vm.prank(payer);
        assertEq(escrow.lock(terms), id);
        assertLock(terms, Status.Locked, 0);
        assertBalances(AMOUNT, AMOUNT, 0);
    }

    function test_lock__notPayer() public {
        vm.prank(relayer);
        vm.expectRevert(abi.encodeWithSelector(NotPayer.selector, relayer, payer));
        escrow.lock(someTerms());
    }

    function test_lock__oneSecondBeforeExpiry() public {
        vm.warp(someTerms().expiry - 1);
        locked(someTerms());
        assertLock(someTerms(), Status.Locked, 0);
    }

    function test_lock__exactlyAtExpiry() public {
        expectExpired(someTerms().expiry);
    }

    function test_lock__afterExpiry() public {
        expectExpired(someTerms().expiry + 1);
    }

    function test_lock__zeroAmount() public {
        Terms memory terms = someTerms();
        terms.amount = 0;
        expectRefused(terms, abi.encodeWithSelector(ZeroAmount.selector, escrow.idOf(terms)));
    }

    function test_lock__oneUnit() public {
        Terms memory terms = someTerms();
        terms.amount = 1;
        locked(terms);
        assertLock(terms, Status.Locked, 0);
        assertBalances(1, 1, 0);
    }

    function test_lock__largestAmount() public {
        Terms memory terms = someTerms();
        terms.amount = type(uint96).max;
        token.mint(payer, terms.amount);
        bytes32 id = locked(terms);
        assertLock(terms, Status.Locked, 0);
        escrow.release(address(token), payee, id, commit(id));
        assertEq(token.balanceOf(payee), type(uint96).max);
    }

    function test_lock__payeeIsPayer() public {
        expectBadParties(payer, payer);
    }

    function test_lock__payeeIsZero() public {
        expectBadParties(payer, address(0));
    }

    function test_lock__payeeIsEscrow() public {
        expectBadParties(payer, address(escrow));
    }

    function test_lock__payerIsEscrow() public {
        expectBadParties(address(escrow), payee);
    }

    function test_lock__tokenWithoutCode() public {
        Terms memory terms = someTerms();
        terms.token = address(0xDEAD);
        expectRefused(terms, abi.encodeWithSelector(NoCode.selector, terms.token));
    }

    function test_lock__twice() public {
        bytes32 id = locked(someTerms());
        expectRefused(someTerms(), abi.encodeWithSelector(BadStatus.selector, id, Status.Locked));
    }

    function test_lock__againAfterRelease() public {
        bytes32 id = locked(someTerms());
        escrow.release(address(token), payee, id, commit(id));
        expectRefused(someTerms(), abi.encodeWithSelector(BadStatus.selector, id, Status.Released));
    }

    function test_lock__againAfterRefund() public {
        bytes32 id = locked(someTerms());
        escrow.refund(someTerms(), abort(id));
        expectRefused(someTerms(), abi.encodeWithSelector(BadStatus.selector, id, Status.Refunded));
    }

    function test_lock__afterCancel() public {
        vm.prank(payer);
        escrow.cancel(someTerms());
        bytes32 id = escrow.idOf(someTerms());
        expectRefused(someTerms(), abi.encodeWithSelector(BadStatus.selector, id, Status.Cancelled));
    }

    /// Fields wider than their types would hash to an id of their own.
    function test_lock__dirtyBits() public {
        uint8[5] memory dirtyByte = [4, 36, 68, 100, 132]; // the first of each field narrower than a word
        vm.prank(payer);
        token.approve(address(escrow), type(uint256).max);
        for (uint256 i; i < dirtyByte.length; ++i) {
            bytes memory call = abi.encodeCall(escrow.lock, (someTerms()));
            call[dirtyByte[i]] = 0x01;
            vm.prank(payer);
            (bool success,) = address(escrow).call(call);
            assertTrue(!success, "a dirty field was accepted");
        }
    }

    function testFuzz_lock__anyTerms(uint96 amount, uint40 expiry, bytes32 deal, address to) public {
        Terms memory terms = Terms(payer, to, address(token), amount, expiry, deal);
        bool good = amount > 0 && expiry > NOW && to != address(0) && to != payer && to != address(escrow);
        token.mint(payer, amount);
        vm.startPrank(payer);
        token.approve(address(escrow), amount);
        (bool success,) = address(escrow).call(abi.encodeCall(escrow.lock, (terms)));
        vm.stopPrank();
        assertTrue(success == good, "good terms are locked, bad ones are not");
        assertEq(token.balanceOf(address(escrow)), good ? amount : 0);
        if (good) assertLock(terms, Status.Locked, 0);
    }

    function expectExpired(uint256 time) private {
        vm.warp(time);
        bytes32 id = escrow.idOf(someTerms());
        expectRefused(someTerms(), abi.encodeWithSelector(Expired.selector, id, someTerms().expiry));
    }

    function expectBadParties(address from, address to) private {
        Terms memory terms = someTerms();
        (terms.payer, terms.payee) = (from, to);
        expectRefused(terms, abi.encodeWithSelector(BadParties.selector, from, to));
    }

    function expectRefused(Terms memory terms, bytes memory reason) private {
        vm.prank(payer);
        token.approve(address(escrow), type(uint256).max);
        uint256 before = token.balanceOf(address(escrow));
        vm.prank(terms.payer);
        vm.expectRevert(reason);
        escrow.lock(terms);
        assertEq(token.balanceOf(address(escrow)), before);
    }
}
