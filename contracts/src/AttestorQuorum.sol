// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title k of n attestors, who alone can change themselves, and only after a delay everybody can see.
/// @notice There is no owner: a set changes when the quorum in force signs its successor and `rotationDelay` has passed.
abstract contract AttestorQuorum is EIP712 {
    /// Bounds the gas of a rotation.
    uint256 private constant MAX_ATTESTORS = 32;
    uint256 private constant MIN_ROTATION_DELAY = 1 days;
    bytes32 private constant CHANGE_TYPEHASH =
        keccak256("AttestorChange(address[] attestors,uint8 threshold,uint256 nonce)");

    /// @notice Seconds between the scheduling of an attestor set and its taking effect.
    uint256 public immutable rotationDelay;

    /// @notice Nonce that the next attestor change must be signed with.
    uint256 public attestorNonce;

    /// @notice keccak256(abi.encode(attestors, threshold)) of the scheduled set; zero when there is none.
    bytes32 public scheduledChange;

    /// @notice Chain time from which the scheduled set can be applied.
    uint256 public scheduledFor;

    /// The threshold in force, kept beside each member (0 for everybody else): membership and threshold in one read.
    mapping(address attestor => uint256) private _thresholdOf;
    address[] private _attestors;

    event AttestorsScheduled(address[] attestors, uint8 threshold, uint256 nonce, uint256 appliesAt);
    event AttestorsApplied(address[] attestors, uint8 threshold);

    error BadRotationDelay(uint256 delay, uint256 minimum);
    /// More than half must sign: two certificates over both outcomes of a deal then share a signer, who signed both.
    error BadThreshold(uint256 threshold, uint256 attestors);
    error TooManyAttestors(uint256 attestors, uint256 maximum);
    /// Addresses must ascend strictly from above zero, in a set as in a certificate; hence no duplicates.
    error NotAscending(address previous, address next);
    error NotAttestor(address signer);
    error WrongSignatureCount(uint256 given, uint256 threshold);
    error NotScheduled(bytes32 change, bytes32 scheduled);
    error TooEarly(uint256 appliesAt, uint256 timestamp);

    constructor(address[] memory attestors_, uint8 threshold_, uint256 rotationDelay_) {
        if (rotationDelay_ < MIN_ROTATION_DELAY) revert BadRotationDelay(rotationDelay_, MIN_ROTATION_DELAY);
        rotationDelay = rotationDelay_;
        _requireValidSet(attestors_, threshold_);
        _setAttestors(attestors_, threshold_);
    }

    /// @notice Announces the next attestor set, signed by the quorum in force. It replaces a set scheduled before, so
    /// that scheduling the present set is how a change is called off.
    function scheduleAttestors(address[] calldata attestors_, uint8 threshold_, bytes32[2][] calldata certificate)
        external
    {
        _requireValidSet(attestors_, threshold_);
        uint256 nonce = attestorNonce++;
        bytes32 members = keccak256(abi.encodePacked(attestors_));
        _requireCertificate(keccak256(abi.encode(CHANGE_TYPEHASH, members, threshold_, nonce)), certificate);
        scheduledChange = keccak256(abi.encode(attestors_, threshold_));
        scheduledFor = block.timestamp + rotationDelay;
        emit AttestorsScheduled(attestors_, threshold_, nonce, scheduledFor);
    }

    /// @notice Puts the scheduled set in force, once its delay has passed. Anybody may call.
    function applyAttestors(address[] calldata attestors_, uint8 threshold_) external {
        bytes32 change = keccak256(abi.encode(attestors_, threshold_));
        if (change != scheduledChange) revert NotScheduled(change, scheduledChange);
        if (block.timestamp < scheduledFor) revert TooEarly(scheduledFor, block.timestamp);
        delete scheduledChange;
        delete scheduledFor;
        for (uint256 i; i < _attestors.length; ++i) {
            delete _thresholdOf[_attestors[i]];
        }
        _setAttestors(attestors_, threshold_);
    }

    /// @notice The attestors in force, ascending.
    function attestors() external view returns (address[] memory) {
        return _attestors;
    }

    /// @notice How many attestors must sign a certificate.
    function threshold() external view returns (uint256) {
        return _thresholdOf[_attestors[0]];
    }

    function isAttestor(address account) external view returns (bool) {
        return _thresholdOf[account] != 0;
    }

    /// @dev Demands exactly `threshold` compact signatures over the struct, from strictly ascending attestors.
    function _requireCertificate(bytes32 structHash, bytes32[2][] calldata certificate) internal view {
        if (certificate.length == 0) revert WrongSignatureCount(0, _thresholdOf[_attestors[0]]);
        bytes32 digest = _hashTypedDataV4(structHash);
        address previous;
        for (uint256 i; i < certificate.length; ++i) {
            address signer = ECDSA.recover(digest, certificate[i][0], certificate[i][1]);
            uint256 needed = _thresholdOf[signer];
            if (needed == 0) revert NotAttestor(signer);
            if (certificate.length != needed) revert WrongSignatureCount(certificate.length, needed);
            if (signer <= previous) revert NotAscending(previous, signer);
            previous = signer;
        }
    }

    function _setAttestors(address[] memory attestors_, uint8 threshold_) private {
        _attestors = attestors_;
        for (uint256 i; i < attestors_.length; ++i) {
            _thresholdOf[attestors_[i]] = threshold_;
        }
        emit AttestorsApplied(attestors_, threshold_);
    }

    function _requireValidSet(address[] memory attestors_, uint8 threshold_) private pure {
        uint256 n = attestors_.length;
        if (n > MAX_ATTESTORS) revert TooManyAttestors(n, MAX_ATTESTORS);
        if (threshold_ > n || 2 * uint256(threshold_) <= n) revert BadThreshold(threshold_, n);
        address previous;
        for (uint256 i; i < n; ++i) {
            if (attestors_[i] <= previous) revert NotAscending(previous, attestors_[i]);
            previous = attestors_[i];
        }
    }
}
