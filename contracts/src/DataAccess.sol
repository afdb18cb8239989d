// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title A small data chain: providers publish and grant, consumers use, and every use is on record with its size.
/// @notice Who pays what for a use is none of this contract's business: whoever bills reads `DataUsed`.
contract DataAccess {
    struct Dataset {
        address provider;
        uint96 size;
    }

    mapping(bytes32 dataset => Dataset) public datasets;
    mapping(bytes32 dataset => mapping(address consumer => bool)) public granted;

    event Published(bytes32 indexed dataset, address indexed provider, uint256 size);
    event Granted(bytes32 indexed dataset, address indexed consumer);
    event Revoked(bytes32 indexed dataset, address indexed consumer);
    /// @param size Bytes, as its provider published them.
    event DataUsed(address indexed consumer, address indexed provider, bytes32 indexed dataset, uint256 size);

    error NotProvider(bytes32 dataset, address caller, address provider);
    error NotGranted(bytes32 dataset, address consumer);

    /// @notice Offers a dataset of `size` bytes, or changes the size of one's own.
    function publish(bytes32 dataset, uint96 size) external {
        address provider = datasets[dataset].provider;
        if (provider != address(0)) _requireProvider(dataset, provider);
        datasets[dataset] = Dataset(msg.sender, size);
        emit Published(dataset, msg.sender, size);
    }

    function grant(bytes32 dataset, address consumer) external {
        _requireProvider(dataset, datasets[dataset].provider);
        granted[dataset][consumer] = true;
        emit Granted(dataset, consumer);
    }

    function revoke(bytes32 dataset, address consumer) external {
        _requireProvider(dataset, datasets[dataset].provider);
        granted[dataset][consumer] = false;
        emit Revoked(dataset, consumer);
    }

    /// @notice The caller obtains a dataset he was granted.
    function use(bytes32 dataset) external {
        _use(dataset);
    }

    /// @notice The same for many, in one transaction.
    function useMany(bytes32[] calldata wanted) external {
        for (uint256 i; i < wanted.length; ++i) {
            _use(wanted[i]);
        }
    }

    function _use(bytes32 dataset) private {
        if (!granted[dataset][msg.sender]) revert NotGranted(dataset, msg.sender);
        Dataset memory used = datasets[dataset];
        emit DataUsed(msg.sender, used.provider, dataset, used.size);
    }

    function _requireProvider(bytes32 dataset, address provider) private view {
        if (msg.sender != provider) revert NotProvider(dataset, msg.sender, provider);
    }
}
