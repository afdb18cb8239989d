// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// A token from before the standard: says nothing, says false, reverts, or only claims to have moved.
contract OddToken {
    enum Manner {
        Silent,
        False,
        Reverting,
        Lying
    }

    Manner public manner;
    mapping(address => uint256) public balanceOf;

    error Refused();

    function mint(address to, uint256 value) external {
        balanceOf[to] += value;
    }

    function behave(Manner manner_) external {
        manner = manner_;
    }

    function approve(address, uint256) external pure returns (bool) {
        return true;
    }

    function transfer(address to, uint256 value) external {
        _move(msg.sender, to, value);
    }

    function transferFrom(address from, address to, uint256 value) external {
        _move(from, to, value);
    }

    /// Stands for any fallback that swallows a call it does not know.
    fallback() external {}

    function _move(address from, address to, uint256 value) private {
        if (manner == Manner.Reverting) revert Refused();
        if (manner == Manner.Silent) {
            balanceOf[from] -= value;
            balanceOf[to] += value;
            return;
        }
        bool answer = manner == Manner.Lying;
        assembly ("memory-safe") {
            mstore(0, answer)
            return(0, 0x20)
        }
    }
}
