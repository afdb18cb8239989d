// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {PlainToken} from "./PlainToken.sol";

/// Calls back when it is moved, once, and keeps what it was answered.
contract ReentrantToken is PlainToken {
    address private _target;
    bytes private _call;
    bytes4 public answer;

    function arm(address target, bytes calldata call) external {
        (_target, _call, answer) = (target, call, bytes4(0));
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        address target = _target;
        if (target == address(0)) return;
        _target = address(0);
        (, bytes memory returned) = target.call(_call);
        answer = bytes4(returned);
    }
}
