// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title The words of the escrow: what is locked, where a lock stands, what happened, what went wrong.
interface IEscrowTypes {
    /// @notice What the payer signs. Its EIP-712 digest is the lock's id.
    /// @param deal Content address of the whole deal, so that the signature binds what the payer gets as well.
    struct Terms {
        address payer;
        address payee;
        address token;
        uint96 amount;
        uint40 expiry;
        bytes32 deal;
    }

    /// @notice ERC-3009 authorisation: compact signature (ERC-2098), validAfter 0, nonce = lock id.
    struct Authorization {
        uint256 validBefore;
        bytes32 r;
        bytes32 vs;
    }

    /// @notice Locks of one token released to one payee in one transfer.
    struct Payout {
        address token;
        address payee;
        bytes32[] ids;
    }

    /// None -> Locked | Cancelled
    /// Locked -> Released | Refunded | Metered | Closed | Reclaimed
    /// Metered -> Metered | Closed | Reclaimed
    /// Released, Refunded, Closed, Reclaimed and Cancelled are final.
    enum Status {
        None,
        Locked,
        Metered,
        Released,
        Refunded,
        Closed,
        Reclaimed,
        Cancelled
    }

    /// @notice Where a lock stands: one storage slot.
    /// @param released What a metered lock has paid so far.
    struct Lock {
        Status status;
        uint40 expiry;
        uint96 amount;
        uint96 released;
    }

    event Locked(
        bytes32 indexed id,
        bytes32 indexed deal,
        address indexed payer,
        address payee,
        address token,
        uint256 amount,
        uint256 expiry
    );
    event Released(bytes32 indexed id);
    event Refunded(bytes32 indexed id);
    /// @param cumulative Paid to the payee so far; `paid` is this step's share of it.
    event Metered(bytes32 indexed id, uint256 cumulative, uint256 paid);
    /// @param cumulative Paid to the payee in all; `returned` went back to the payer.
    event Closed(bytes32 indexed id, uint256 cumulative, uint256 returned);
    event Reclaimed(bytes32 indexed id);
    event Cancelled(bytes32 indexed id);

    error ZeroAmount(bytes32 id);
    error BadParties(address payer, address payee);
    error NoCode(address token);
    error NotPayer(address caller, address payer);
    error BadTermsSignature(bytes32 id, address payer);
    error BadStatus(bytes32 id, Status status);
    error Expired(bytes32 id, uint256 expiry);
    error NotExpired(bytes32 id, uint256 expiry);
    error AboveAmount(bytes32 id, uint256 cumulative, uint256 amount);
    error LengthMismatch(uint256 terms, uint256 authorizations);
    /// The token moved another sum than it was told to (fee on transfer, rebase, or nothing at all).
    error BalanceMismatch(address token, uint256 expected, uint256 actual);
}
