// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RegionalCurrency} from "../src/RegionalCurrency.sol";
import {Handler} from "./base/Handler.sol";
import {Test} from "./base/Test.sol";

/// What holds after anything anybody does. The handler itself fails when a call works that must not, or the reverse.
contract InvariantsTest is Test {
    Handler private handler;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public {
        handler = new Handler();
    }

    function targetContracts() public view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(handler);
    }

    function targetSelectors() public view returns (FuzzSelector[] memory targets) {
        bytes4[] memory verbs = new bytes4[](8);
        verbs[0] = Handler.lock.selector;
        verbs[1] = Handler.release.selector;
        verbs[2] = Handler.releaseBatch.selector;
        verbs[3] = Handler.refund.selector;
        verbs[4] = Handler.meter.selector;
        verbs[5] = Handler.reclaim.selector;
        verbs[6] = Handler.relockOrCancel.selector;
        verbs[7] = Handler.wait.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(handler), verbs);
    }

    /// The handler is not idle: each verb it knows moves something.
    function test_handler__everyVerbMoves() public {
        for (uint256 i; i < 6; ++i) {
            handler.lock(i, 0, 1000, 500, i % 2 == 0);
        }
        uint256 sound = 4;
        handler.release(0, sound, 1);
        handler.releaseBatch(1, 1, sound);
        handler.refund(2, sound);
        handler.meter(3, 400, false, sound);
        handler.meter(4, 400, true, sound);
        handler.wait(300);
        handler.wait(300);
        handler.reclaim(5);
        string[7] memory verbs = ["lock", "release", "releaseBatch", "refund", "meter", "close", "reclaim"];
        for (uint256 i; i < verbs.length; ++i) {
            assertTrue(handler.done(verbs[i]) > 0, verbs[i]);
        }
    }

    /// The escrow holds exactly what its open locks hold.
    function invariant_solvent() public view {
        for (uint256 i; i < 2; ++i) {
            RegionalCurrency currency = handler.currencies(i);
            assertEq(handler.inEscrow(currency), handler.held(currency));
        }
    }

    function invariant_supplyIsConserved() public view {
        for (uint256 i; i < 2; ++i) {
            RegionalCurrency currency = handler.currencies(i);
            assertEq(handler.everywhere(currency), currency.totalSupply());
        }
    }

    /// A payee has what certificates gave before expiry, and not a unit more.
    function invariant_payeesHaveWhatWasCertified() public view {
        for (uint256 i; i < 6; ++i) {
            (RegionalCurrency currency, address payee) = (handler.currencies(i % 2), handler.payeeOf(i / 2));
            assertEq(currency.balanceOf(payee), handler.certified(address(currency), payee));
        }
    }

    function invariant_aLockEndsOnce() public view {
        for (uint256 i; i < handler.lockCount(); ++i) {
            assertTrue(handler.endings(handler.idAt(i)) <= 1, "ended twice");
        }
    }
}
