// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SignatureChecker} from "@openzeppelin/contracts/utils/cryptography/SignatureChecker.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {AttestorQuorum} from "./AttestorQuorum.sol";
import {IERC3009Signature} from "./IERC3009Signature.sol";
import {IEscrowTypes} from "./IEscrowTypes.sol";
import {LockWord, newLock} from "./LockWord.sol";

/// @title Holds tokens until k of n attestors say where they go, and never sends them anywhere but to the payer or payee.
/// @notice lock -> release | refund | meter..., close (each by certificate, before expiry) | reclaim (by anybody, from
/// expiry on). An id is single-use for ever. Nobody owns this contract; it cannot be upgraded, paused or swept.
/// @dev A certificate is k compact signatures (r, vs) of ascending attestors over `Settlement` or `Metering`.
contract Escrow is IEscrowTypes, AttestorQuorum, ReentrancyGuardTransient {
    using SafeERC20 for IERC20;

    bytes32 private constant TERMS_TYPEHASH = keccak256(
        "EscrowTerms(address payer,address payee,address token,uint96 amount,uint40 expiry,bytes32 deal)"
    );
    bytes32 private constant SETTLEMENT_TYPEHASH = keccak256("Settlement(uint8 outcome,bytes32[] ids)");
    bytes32 private constant METERING_TYPEHASH = keccak256("Metering(bytes32 id,uint96 cumulative,bool close)");
    uint256 private constant COMMIT = 1;
    uint256 private constant ABORT = 2;

    struct Entry {
        LockWord word;
    }

    /// Keyed by where the money goes, so that an id shown with another token or payee is simply not there.
    mapping(address token => mapping(address payee => mapping(bytes32 id => Entry))) private _locks;

    /// @param attestors_ Strictly ascending addresses, at most 32.
    /// @param threshold_ How many of them make a certificate.
    /// @param rotationDelay_ Seconds, at least a day, between the scheduling of another set and its taking effect.
    constructor(address[] memory attestors_, uint8 threshold_, uint256 rotationDelay_)
        EIP712("ConnectionChain Escrow", "1")
        AttestorQuorum(attestors_, threshold_, rotationDelay_)
    {}

    // ---------------------------------------------------------------------------------------------------- lock

    /// @notice Locks the caller's tokens, approved before.
    function lock(Terms calldata terms) external nonReentrant returns (bytes32 id) {
        _requirePayer(terms);
        id = _open(terms);
        _pull(terms.token, terms.payer, terms.amount);
    }

    /// @notice Locks the caller's tokens on many terms: one transfer for each run of equal tokens.
    function lockBatch(Terms[] calldata terms) external nonReentrant {
        uint256 total;
        for (uint256 i; i < terms.length; ++i) {
            _requirePayer(terms[i]);
            _open(terms[i]);
            total += terms[i].amount;
            if (i + 1 == terms.length || terms[i + 1].token != terms[i].token) {
                _pull(terms[i].token, msg.sender, total);
                total = 0;
            }
        }
    }

    /// @notice Locks by the payer's ERC-3009 authorisation, whoever relays it: the nonce is the id, hence binds the terms.
    function lockWithAuthorization(Terms calldata terms, Authorization calldata authorization)
        external
        nonReentrant
        returns (bytes32 id)
    {
        id = _open(terms);
        uint256 before = _balance(terms.token);
        _receive(id, terms, authorization);
        _requireBalance(terms.token, before + terms.amount);
    }

    /// @notice The same for contract accounts (ERC-1271), on tokens that take a signature of any form.
    function lockWithAuthorization(Terms calldata terms, uint256 validBefore, bytes calldata signature)
        external
        nonReentrant
        returns (bytes32 id)
    {
        id = _open(terms);
        uint256 before = _balance(terms.token);
        IERC3009Signature(terms.token).receiveWithAuthorization(
            terms.payer, address(this), terms.amount, 0, validBefore, id, signature
        );
        _requireBalance(terms.token, before + terms.amount);
    }

    /// @notice Locks for many payers: one balance check for each run of equal tokens.
    function lockBatchWithAuthorization(Terms[] calldata terms, Authorization[] calldata authorizations)
        external
        nonReentrant
    {
        if (terms.length != authorizations.length) revert LengthMismatch(terms.length, authorizations.length);
        address token;
        uint256 expected;
        for (uint256 i; i < terms.length; ++i) {
            bytes32 id = _open(terms[i]);
            if (i == 0 || terms[i].token != token) {
                token = terms[i].token;
                expected = _balance(token);
            }
            _receive(id, terms[i], authorizations[i]);
            expected += terms[i].amount;
            if (i + 1 == terms.length || terms[i + 1].token != token) _requireBalance(token, expected);
        }
    }

    /// @notice Locks by an ERC-2612 permit and the payer's signature over the id, whoever relays them.
    /// @dev A permit says nothing of terms, hence the second signature. The permit may have been used by a front-runner,
    /// or an earlier approval may do: what counts is whether the transfer succeeds.
    function lockWithPermit(
        Terms calldata terms,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s,
        bytes calldata termsSignature
    ) external nonReentrant returns (bytes32 id) {
        id = _open(terms);
        _requireTermsSignature(id, terms.payer, termsSignature);
        if (terms.token.code.length == 0) revert NoCode(terms.token);
        try IERC20Permit(terms.token).permit(terms.payer, address(this), terms.amount, deadline, v, r, s) {} catch {}
        _pull(terms.token, terms.payer, terms.amount);
    }

    /// @notice Burns terms the caller has signed but that were never locked.
    function cancel(Terms calldata terms) external nonReentrant {
        _requirePayer(terms);
        bytes32 id = idOf(terms);
        Entry storage entry = _entry(terms, id);
        entry.word = _requireNew(entry.word, id).become(Status.Cancelled);
        emit Cancelled(id);
    }

    // -------------------------------------------------------------------------------------------------- settle

    /// @notice Pays one lock to its payee. An id already released is left alone.
    function release(address token, address payee, bytes32 id, bytes32[2][] calldata certificate)
        external
        nonReentrant
    {
        _requireSettlement(COMMIT, keccak256(abi.encode(id)), certificate);
        _send(token, payee, _settle(_locks[token][payee][id], id, Status.Released));
    }

    /// @notice Pays many locks, in one transfer for each payout.
    /// @param certificate Over the ids of all payouts, in order.
    function releaseBatch(Payout[] calldata payouts, bytes32[2][] calldata certificate) external nonReentrant {
        _requireSettlement(COMMIT, _hashIds(payouts), certificate);
        for (uint256 i; i < payouts.length; ++i) {
            (address token, address payee, bytes32[] calldata ids) = (payouts[i].token, payouts[i].payee, payouts[i].ids);
            mapping(bytes32 id => Entry) storage entries = _locks[token][payee];
            uint256 total;
            for (uint256 j; j < ids.length; ++j) {
                bytes32 id = ids[j];
                unchecked {
                    total += _settle(entries[id], id, Status.Released); // a sum of uint96
                }
            }
            _send(token, payee, total);
        }
    }

    /// @notice Gives one lock back to its payer, by decision. An id already refunded is left alone.
    function refund(Terms calldata terms, bytes32[2][] calldata certificate) external nonReentrant {
        bytes32 id = idOf(terms);
        _requireSettlement(ABORT, keccak256(abi.encode(id)), certificate);
        _send(terms.token, terms.payer, _settle(_entry(terms, id), id, Status.Refunded));
    }

    /// @notice Gives many locks back, in one transfer for each run of equal payer and token.
    /// @param certificate Over the ids of all terms, in order.
    function refundBatch(Terms[] calldata terms, bytes32[2][] calldata certificate) external nonReentrant {
        bytes32[] memory ids = new bytes32[](terms.length);
        for (uint256 i; i < ids.length; ++i) {
            ids[i] = idOf(terms[i]);
        }
        _requireSettlement(ABORT, keccak256(abi.encodePacked(ids)), certificate);
        uint256 total;
        for (uint256 i; i < ids.length; ++i) {
            (address payer, address token) = (terms[i].payer, terms[i].token);
            unchecked {
                total += _settle(_locks[token][terms[i].payee][ids[i]], ids[i], Status.Refunded); // a sum of uint96
            }
            if (i + 1 == ids.length || terms[i + 1].payer != payer || terms[i + 1].token != token) {
                _send(token, payer, total);
                total = 0;
            }
        }
    }

    /// @notice Pays the payee up to `cumulative` and leaves the rest locked. What is paid already is left alone.
    function meter(Terms calldata terms, uint96 cumulative, bytes32[2][] calldata certificate) external nonReentrant {
        bytes32 id = idOf(terms);
        _requireCertificate(keccak256(abi.encode(METERING_TYPEHASH, id, cumulative, false)), certificate);
        Entry storage entry = _entry(terms, id);
        LockWord word = entry.word;
        _requireMeterable(word, id, cumulative);
        uint96 earlier = word.released();
        if (cumulative <= earlier) return;
        entry.word = word.meterTo(cumulative).become(Status.Metered);
        emit Metered(id, cumulative, cumulative - earlier);
        _send(terms.token, terms.payee, cumulative - earlier);
    }

    /// @notice Pays the payee up to `cumulative` and the payer the rest. A lock already closed is left alone.
    function close(Terms calldata terms, uint96 cumulative, bytes32[2][] calldata certificate) external nonReentrant {
        bytes32 id = idOf(terms);
        _requireCertificate(keccak256(abi.encode(METERING_TYPEHASH, id, cumulative, true)), certificate);
        Entry storage entry = _entry(terms, id);
        LockWord word = entry.word;
        if (word.isAt(Status.Closed)) return;
        _requireMeterable(word, id, cumulative);
        uint96 earlier = word.released();
        if (cumulative < earlier) cumulative = earlier; // what the payee has is the payee's
        entry.word = word.meterTo(cumulative).become(Status.Closed);
        emit Closed(id, cumulative, terms.amount - cumulative);
        _send(terms.token, terms.payee, cumulative - earlier);
        _send(terms.token, terms.payer, terms.amount - cumulative);
    }

    /// @notice Gives what is still locked back to the payer, from expiry on. Anybody may call; nobody can prevent it.
    function reclaim(Terms calldata terms) external nonReentrant {
        bytes32 id = idOf(terms);
        Entry storage entry = _entry(terms, id);
        LockWord word = entry.word;
        _requireOpen(word, id);
        if (block.timestamp < word.expiry()) revert NotExpired(id, word.expiry());
        entry.word = word.become(Status.Reclaimed);
        emit Reclaimed(id);
        _send(terms.token, terms.payer, word.amount() - word.released());
    }

    // --------------------------------------------------------------------------------------------------- views

    /// @notice The id of terms: their EIP-712 digest, which is what the payer signs.
    function idOf(Terms calldata terms) public view returns (bytes32) {
        return _hashTypedDataV4(_hashTerms(terms));
    }

    /// @notice Where the lock of these terms stands.
    function lockOf(Terms calldata terms) external view returns (Lock memory) {
        return _entry(terms, idOf(terms)).word.unpack();
    }

    // ------------------------------------------------------------------------------------------------ internal

    /// keccak256(abi.encode(TERMS_TYPEHASH, terms)), copied rather than encoded, which saves 500 gas. Dirty bits only
    /// give an id that can never be locked: `_open` reads every field, and reading a dirty one reverts.
    function _hashTerms(Terms calldata terms) private pure returns (bytes32 hash) {
        bytes32 typehash = TERMS_TYPEHASH;
        assembly ("memory-safe") {
            let buffer := mload(0x40)
            mstore(buffer, typehash)
            calldatacopy(add(buffer, 0x20), terms, 0xc0)
            hash := keccak256(buffer, 0xe0)
        }
    }

    /// The entry is written before any token is called.
    function _open(Terms calldata terms) private returns (bytes32 id) {
        id = idOf(terms);
        (address payer, address payee) = (terms.payer, terms.payee);
        if (terms.amount == 0) revert ZeroAmount(id);
        if (payee == address(0) || payee == payer || payee == address(this) || payer == address(this)) {
            revert BadParties(payer, payee);
        }
        if (block.timestamp >= terms.expiry) revert Expired(id, terms.expiry);
        Entry storage entry = _entry(terms, id);
        _requireNew(entry.word, id);
        entry.word = newLock(terms.amount, terms.expiry);
        emit Locked(id, terms.deal, payer, payee, terms.token, terms.amount, terms.expiry);
    }

    /// Locked -> `to`, and the amount to be sent; zero if that had been done before, so that nobody can spoil a batch
    /// by settling one of its ids first.
    function _settle(Entry storage entry, bytes32 id, Status to) private returns (uint256) {
        LockWord word = entry.word;
        if (!word.isAt(Status.Locked)) {
            if (word.isAt(to)) return 0;
            revert BadStatus(id, word.status());
        }
        if (block.timestamp >= word.expiry()) revert Expired(id, word.expiry());
        entry.word = word.become(to);
        if (to == Status.Released) emit Released(id);
        else emit Refunded(id);
        return word.amount();
    }

    function _pull(address token, address payer, uint256 amount) private {
        uint256 before = _balance(token);
        IERC20(token).safeTransferFrom(payer, address(this), amount);
        _requireBalance(token, before + amount);
    }

    function _receive(bytes32 id, Terms calldata terms, Authorization calldata authorization) private {
        uint256 vs = uint256(authorization.vs);
        IERC3009(terms.token).receiveWithAuthorization(
            terms.payer,
            address(this),
            terms.amount,
            0,
            authorization.validBefore,
            id,
            uint8(vs >> 255) + 27,
            authorization.r,
            bytes32(vs & (type(uint256).max >> 1))
        );
    }

    function _send(address token, address to, uint256 amount) private {
        if (amount != 0) IERC20(token).safeTransfer(to, amount);
    }

    function _balance(address token) private view returns (uint256) {
        if (token.code.length == 0) revert NoCode(token);
        return IERC20(token).balanceOf(address(this));
    }

    function _requireBalance(address token, uint256 expected) private view {
        uint256 actual = IERC20(token).balanceOf(address(this));
        if (actual != expected) revert BalanceMismatch(token, expected, actual);
    }

    function _requirePayer(Terms calldata terms) private view {
        if (msg.sender != terms.payer) revert NotPayer(msg.sender, terms.payer);
    }

    /// ECDSA first: an account with code (EIP-7702 too) may still sign with its key.
    function _requireTermsSignature(bytes32 id, address payer, bytes calldata signature) private view {
        (address signer, ECDSA.RecoverError err,) = ECDSA.tryRecoverCalldata(id, signature);
        if (err == ECDSA.RecoverError.NoError && signer == payer) return;
        if (!SignatureChecker.isValidERC1271SignatureNowCalldata(payer, id, signature)) {
            revert BadTermsSignature(id, payer);
        }
    }

    function _entry(Terms calldata terms, bytes32 id) private view returns (Entry storage) {
        return _locks[terms.token][terms.payee][id];
    }

    function _requireNew(LockWord word, bytes32 id) private pure returns (LockWord) {
        if (!word.isAt(Status.None)) revert BadStatus(id, word.status());
        return word;
    }

    function _requireOpen(LockWord word, bytes32 id) private pure {
        if (!word.isAt(Status.Locked) && !word.isAt(Status.Metered)) revert BadStatus(id, word.status());
    }

    function _requireMeterable(LockWord word, bytes32 id, uint96 cumulative) private view {
        _requireOpen(word, id);
        if (block.timestamp >= word.expiry()) revert Expired(id, word.expiry());
        if (cumulative > word.amount()) revert AboveAmount(id, cumulative, word.amount());
    }

    function _requireSettlement(uint256 outcome, bytes32 idsHash, bytes32[2][] calldata certificate) private view {
        _requireCertificate(keccak256(abi.encode(SETTLEMENT_TYPEHASH, outcome, idsHash)), certificate);
    }

    /// keccak256 of all ids of all payouts, in order. Written to free memory that need not be kept.
    function _hashIds(Payout[] calldata payouts) private pure returns (bytes32 hash) {
        uint256 start;
        assembly ("memory-safe") {
            start := mload(0x40)
        }
        uint256 end = start;
        for (uint256 i; i < payouts.length; ++i) {
            bytes32[] calldata ids = payouts[i].ids;
            assembly ("memory-safe") {
                let size := shl(5, ids.length)
                calldatacopy(end, ids.offset, size)
                end := add(end, size)
            }
        }
        assembly ("memory-safe") {
            hash := keccak256(start, sub(end, start))
        }
    }
}
