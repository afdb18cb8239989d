// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {DataAccess} from "../src/DataAccess.sol";
import {Test} from "./base/Test.sol";

contract DataAccessTest is Test {
    bytes32 private constant MAP = "a map";
    bytes32 private constant TABLE = "a table";
    address private provider = address(0xBEEF);
    address private consumer = address(0xCAFE);
    DataAccess private data;

    event DataUsed(address indexed consumer, address indexed provider, bytes32 indexed dataset, uint256 size);

    function setUp() public {
        data = new DataAccess();
        vm.startPrank(provider);
        data.publish(MAP, 1500);
        data.publish(TABLE, 20);
        data.grant(MAP, consumer);
        data.grant(TABLE, consumer);
        vm.stopPrank();
    }

    function test_use__tellsWhoUsedWhatOfWhom() public {
        vm.expectEmit(address(data));
        emit DataUsed(consumer, provider, MAP, 1500);
        vm.prank(consumer);
        data.use(MAP);
    }

    function test_useMany__tellsEach() public {
        bytes32[] memory wanted = new bytes32[](3);
        (wanted[0], wanted[1], wanted[2]) = (MAP, TABLE, MAP);
        vm.expectEmit(address(data));
        emit DataUsed(consumer, provider, MAP, 1500);
        vm.expectEmit(address(data));
        emit DataUsed(consumer, provider, TABLE, 20);
        vm.expectEmit(address(data));
        emit DataUsed(consumer, provider, MAP, 1500);
        vm.prank(consumer);
        data.useMany(wanted);
    }

    function test_use__notGranted() public {
        vm.expectRevert(abi.encodeWithSelector(DataAccess.NotGranted.selector, MAP, address(this)));
        data.use(MAP);
    }

    function test_use__revoked() public {
        vm.prank(provider);
        data.revoke(MAP, consumer);
        vm.prank(consumer);
        vm.expectRevert(abi.encodeWithSelector(DataAccess.NotGranted.selector, MAP, consumer));
        data.use(MAP);
    }

    function test_publish__resizesItsOwn() public {
        vm.prank(provider);
        data.publish(MAP, 7);
        vm.expectEmit(address(data));
        emit DataUsed(consumer, provider, MAP, 7);
        vm.prank(consumer);
        data.use(MAP);
    }

    function test_providerOnly() public {
        bytes memory reason = abi.encodeWithSelector(DataAccess.NotProvider.selector, MAP, consumer, provider);
        vm.startPrank(consumer);
        vm.expectRevert(reason);
        data.publish(MAP, 1);
        vm.expectRevert(reason);
        data.grant(MAP, consumer);
        vm.expectRevert(reason);
        data.revoke(MAP, consumer);
    }
}
