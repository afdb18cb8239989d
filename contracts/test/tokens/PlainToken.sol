// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// No permit, no authorisations, and everybody mints.
contract PlainToken is ERC20("Plain", "PLN") {
    function mint(address to, uint256 value) external {
        _mint(to, value);
    }
}
