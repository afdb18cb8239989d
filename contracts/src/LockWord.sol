// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IEscrowTypes} from "./IEscrowTypes.sol";

/// A lock in its storage slot: released (96 bits) | amount (96) | expiry (40) | status (8), lowest last.
/// Read once and written whole, which the compiler does not do for a struct's fields.
type LockWord is uint256;

using {isAt, status, expiry, amount, released, become, meterTo, unpack} for LockWord global;

function newLock(uint96 amount_, uint40 expiry_) pure returns (LockWord) {
    return LockWord.wrap(uint256(amount_) << 48 | uint256(expiry_) << 8 | uint8(IEscrowTypes.Status.Locked));
}

/// Compares bits: reading the enum would check its range at every item of a batch.
function isAt(LockWord word, IEscrowTypes.Status status_) pure returns (bool) {
    return uint8(LockWord.unwrap(word)) == uint8(status_);
}

function status(LockWord word) pure returns (IEscrowTypes.Status) {
    return IEscrowTypes.Status(uint8(LockWord.unwrap(word)));
}

function expiry(LockWord word) pure returns (uint40) {
    return uint40(LockWord.unwrap(word) >> 8);
}

function amount(LockWord word) pure returns (uint96) {
    return uint96(LockWord.unwrap(word) >> 48);
}

function released(LockWord word) pure returns (uint96) {
    return uint96(LockWord.unwrap(word) >> 144);
}

function become(LockWord word, IEscrowTypes.Status to) pure returns (LockWord next) {
    assembly ("memory-safe") {
        next := or(and(word, not(0xff)), to)
    }
}

function meterTo(LockWord word, uint96 cumulative) pure returns (LockWord) {
    return LockWord.wrap(uint256(uint144(LockWord.unwrap(word))) | uint256(cumulative) << 144);
}

function unpack(LockWord word) pure returns (IEscrowTypes.Lock memory) {
    return IEscrowTypes.Lock(word.status(), word.expiry(), word.amount(), word.released());
}
