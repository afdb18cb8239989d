// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {RegionalCurrency} from "../../src/RegionalCurrency.sol";
import {EscrowTest} from "./EscrowTest.sol";

/// Does anything to an escrow of 2-of-3 attestors, rightly and wrongly signed, and knows beforehand whether it must work.
contract Handler is EscrowTest {
    uint256 private constant PAYERS = 4;
    uint256 private constant PAYEES = 3;

    RegionalCurrency[2] public currencies;
    /// what certificates have given to payees before expiry
    mapping(address currency => mapping(address payee => uint256)) public certified;
    /// how often each lock has ended
    mapping(bytes32 id => uint256) public endings;
    /// how often each verb has moved something
    mapping(string verb => uint256) public done;

    Terms[] private _all;
    bytes32[] private _ids;
    mapping(bytes32 id => Lock) private _seen;

    constructor() {
        setUp();
        currencies = [token, deployCurrency()];
    }

    /// Nothing leaves a final status, no metered payment is taken back, and an end comes once.
    modifier watched() {
        _;
        for (uint256 i; i < _all.length; ++i) {
            bytes32 id = _ids[i];
            (Lock memory entry, Lock memory before) = (escrow.lockOf(_all[i]), _seen[id]);
            assertTrue(entry.released >= before.released, "metered payments only grow");
            if (entry.status != before.status) {
                assertTrue(before.status <= Status.Metered, "a final status is final");
                if (entry.status > Status.Metered) ++endings[id];
            }
            _seen[id] = entry;
        }
    }

    function lock(uint256 who, uint256 toWhom, uint96 amount, uint40 duration, bool byAuthorization) external watched {
        uint256 key = 7000 + who % PAYERS;
        Terms memory terms = Terms({
            payer: vm.addr(key),
            payee: payeeOf(toWhom % PAYEES),
            token: address(currencies[toWhom % 2]),
            amount: uint96(bound(amount, 1, 1e24)),
            expiry: uint40(block.timestamp + bound(duration, 1, 1000)),
            deal: bytes32(_all.length)
        });
        RegionalCurrency(terms.token).mint(terms.payer, terms.amount);
        if (byAuthorization) escrow.lockWithAuthorization(terms, authorized(terms, key));
        else locked(terms);
        _all.push(terms);
        _ids.push(escrow.idOf(terms));
        ++done["lock"];
    }

    function release(uint256 i, uint256 flaw, uint256 toWhom) external watched {
        if (_all.length == 0) return;
        (Terms memory terms, bytes32 id, Lock memory before) = pick(i);
        address to = toWhom % 4 == 0 ? payeeOf(toWhom % PAYEES) : terms.payee;
        bytes memory call = abi.encodeCall(
            escrow.release, (terms.token, to, id, sign(settlementHash(COMMIT, only(id)), flaw))
        );
        bool moves = before.status == Status.Locked && block.timestamp < terms.expiry;
        bool idle = before.status == Status.Released;
        attempt(call, isSound(flaw) && to == terms.payee && (moves || idle));
        if (isSound(flaw) && to == terms.payee && moves) {
            certified[terms.token][terms.payee] += terms.amount;
            ++done["release"];
        }
    }

    /// Two ids under the payout of the first, the same one twice included.
    function releaseBatch(uint256 i, uint256 j, uint256 flaw) external watched {
        if (_all.length == 0) return;
        (Terms memory first, bytes32 firstId, Lock memory firstBefore) = pick(i);
        (Terms memory second, bytes32 secondId, Lock memory secondBefore) = pick(j);
        bytes32[] memory ids = new bytes32[](2);
        (ids[0], ids[1]) = (firstId, secondId);
        Payout[] memory payouts = only(Payout(first.token, first.payee, ids));
        bool together = first.token == second.token && first.payee == second.payee;
        bool works = isSound(flaw) && together && isReleasable(first, firstBefore) && isReleasable(second, secondBefore);
        bytes32[2][] memory signatures = sign(settlementHash(COMMIT, ids), flaw);
        attempt(abi.encodeCall(escrow.releaseBatch, (payouts, signatures)), works);
        if (!works) return;
        if (firstBefore.status == Status.Locked) certified[first.token][first.payee] += first.amount;
        if (secondBefore.status == Status.Locked && firstId != secondId) {
            certified[first.token][first.payee] += second.amount;
        }
        ++done["releaseBatch"];
    }

    function refund(uint256 i, uint256 flaw) external watched {
        if (_all.length == 0) return;
        (Terms memory terms, bytes32 id, Lock memory before) = pick(i);
        bool moves = before.status == Status.Locked && block.timestamp < terms.expiry;
        bool works = isSound(flaw) && (moves || before.status == Status.Refunded);
        uint256 balance = RegionalCurrency(terms.token).balanceOf(terms.payer);
        attempt(abi.encodeCall(escrow.refund, (terms, sign(settlementHash(ABORT, only(id)), flaw))), works);
        uint256 moved = works && moves ? terms.amount : 0;
        assertEq(RegionalCurrency(terms.token).balanceOf(terms.payer), balance + moved);
        if (moved > 0) ++done["refund"];
    }

    function meter(uint256 i, uint96 cumulative, bool close, uint256 flaw) external watched {
        if (_all.length == 0) return;
        (Terms memory terms, bytes32 id, Lock memory before) = pick(i);
        cumulative = uint96(bound(cumulative, 0, uint256(terms.amount) + 1));
        bool isOpen = before.status == Status.Locked || before.status == Status.Metered;
        bool moves = isOpen && block.timestamp < terms.expiry && cumulative <= terms.amount;
        bool works = isSound(flaw) && (moves || (close && before.status == Status.Closed));
        bytes32 typehash = keccak256("Metering(bytes32 id,uint96 cumulative,bool close)");
        bytes32[2][] memory signatures = sign(keccak256(abi.encode(typehash, id, cumulative, close)), flaw);
        attempt(
            close
                ? abi.encodeCall(escrow.close, (terms, cumulative, signatures))
                : abi.encodeCall(escrow.meter, (terms, cumulative, signatures)),
            works
        );
        if (!works || !moves) return;
        if (cumulative > before.released) certified[terms.token][terms.payee] += cumulative - before.released;
        ++done[close ? "close" : "meter"];
    }

    function reclaim(uint256 i) external watched {
        if (_all.length == 0) return;
        (Terms memory terms,, Lock memory before) = pick(i);
        bool isOpen = before.status == Status.Locked || before.status == Status.Metered;
        bool works = isOpen && block.timestamp >= terms.expiry;
        uint256 balance = RegionalCurrency(terms.token).balanceOf(terms.payer);
        attempt(abi.encodeCall(escrow.reclaim, (terms)), works);
        uint256 moved = works ? terms.amount - before.released : 0;
        assertEq(RegionalCurrency(terms.token).balanceOf(terms.payer), balance + moved);
        if (works) ++done["reclaim"];
    }

    function relockOrCancel(uint256 i, bool cancel) external watched {
        if (_all.length == 0) return;
        (Terms memory terms,,) = pick(i);
        RegionalCurrency(terms.token).mint(terms.payer, terms.amount);
        vm.startPrank(terms.payer);
        RegionalCurrency(terms.token).approve(address(escrow), terms.amount);
        attempt(cancel ? abi.encodeCall(escrow.cancel, (terms)) : abi.encodeCall(escrow.lock, (terms)), false);
        vm.stopPrank();
    }

    function wait(uint256 time) external watched {
        vm.warp(block.timestamp + bound(time, 1, 300));
    }

    // ------------------------------------------------------------------------------------------------- sums

    function lockCount() external view returns (uint256) {
        return _all.length;
    }

    function idAt(uint256 i) external view returns (bytes32) {
        return _ids[i];
    }

    /// what all open locks of a currency still hold
    function held(RegionalCurrency currency) external view returns (uint256 sum) {
        for (uint256 i; i < _all.length; ++i) {
            Lock memory entry = escrow.lockOf(_all[i]);
            bool holds = entry.status == Status.Locked || entry.status == Status.Metered;
            if (_all[i].token == address(currency) && holds) sum += entry.amount - entry.released;
        }
    }

    function inEscrow(RegionalCurrency currency) public view returns (uint256) {
        return currency.balanceOf(address(escrow));
    }

    /// what everybody has, escrow included
    function everywhere(RegionalCurrency currency) external view returns (uint256 sum) {
        sum = inEscrow(currency) + currency.balanceOf(payer);
        for (uint256 i; i < PAYERS; ++i) {
            sum += currency.balanceOf(vm.addr(7000 + i));
        }
        for (uint256 i; i < PAYEES; ++i) {
            sum += currency.balanceOf(payeeOf(i));
        }
    }

    function payeeOf(uint256 i) public pure returns (address) {
        return address(uint160(0xB0B0 + i));
    }

    // ---------------------------------------------------------------------------------------------- internal

    function attempt(bytes memory call, bool works) private {
        (bool success,) = address(escrow).call(call);
        assertTrue(success == works, works ? "must work" : "must not work");
    }

    function pick(uint256 i) private view returns (Terms memory terms, bytes32 id, Lock memory entry) {
        (terms, id) = (_all[i % _all.length], _ids[i % _all.length]);
        entry = escrow.lockOf(terms);
    }

    function isReleasable(Terms memory terms, Lock memory entry) private view returns (bool) {
        bool inTime = entry.status == Status.Locked && block.timestamp < terms.expiry;
        return inTime || entry.status == Status.Released;
    }

    function isSound(uint256 flaw) private pure returns (bool) {
        return flaw % 8 >= 4;
    }

    /// Half of all certificates are flawed: one signature, one signer twice, one stranger, or another matter signed.
    function sign(bytes32 structHash, uint256 flaw) private view returns (bytes32[2][] memory signatures) {
        (uint256 first, uint256 second) = (attestorKeys[0], attestorKeys[1 + flaw % 2]);
        if (flaw % 8 == 0) {
            signatures = new bytes32[2][](1);
            signatures[0] = compact(first, digestOf(structHash));
            return signatures;
        }
        if (flaw % 8 == 1) second = first;
        if (flaw % 8 == 2) second = STRANGER_KEY;
        if (flaw % 8 == 3) structHash = keccak256(abi.encode(structHash));
        return certificate(structHash, first, second);
    }
}
