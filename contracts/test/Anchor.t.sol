// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {Anchor} from "../src/Anchor.sol";
import {Test} from "./base/Test.sol";

contract AnchorTest is Test {
    Anchor private anchor = new Anchor();

    event Anchored(bytes32 indexed digest, bytes checkpoint);

    function test_post__isOnRecordAsItWas() public {
        post("log.example\n5\nAAAA\n");
    }

    function testFuzz_post__anythingByAnybody(address who, bytes calldata checkpoint) public {
        vm.prank(who);
        post(checkpoint);
    }

    function test_post__takesNoMoney() public {
        (bool sent,) = address(anchor).call{value: 1}("log.example\n5\nAAAA\n");
        assertTrue(!sent, "it took money");
        assertEq(address(anchor).balance, 0);
    }

    function post(bytes memory checkpoint) private {
        vm.expectEmit(address(anchor));
        emit Anchored(keccak256(checkpoint), checkpoint);
        (bool posted,) = address(anchor).call(checkpoint);
        assertTrue(posted, "not posted");
    }
}
