// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PlainToken} from "./PlainToken.sol";

/// Refuses whom it has blocked, as the large stablecoins do.
contract BlocklistToken is PlainToken {
    mapping(address => bool) public blocked;

    error Blocked(address account);

    function setBlocked(address account, bool yes) external {
        blocked[account] = yes;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[from]) revert Blocked(from);
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, value);
    }
}
