// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title Checkpoints of evidence logs, dated by this chain for good.
/// @notice The call data is the checkpoint as its log signed it (c2sp.org/tlog-checkpoint). Anybody may post one, and
/// nothing is checked here: it counts only for those who find the log's signature in it.
contract Anchor {
    /// @param digest Of the checkpoint, to look for it.
    event Anchored(bytes32 indexed digest, bytes checkpoint);

    fallback() external {
        emit Anchored(keccak256(msg.data), msg.data);
    }
}
