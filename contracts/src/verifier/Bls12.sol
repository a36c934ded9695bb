// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IVerifier} from "../interfaces/IVerifier.sol";

/// @title BLS12-381 by the precompiles of EIP-2537
/// @dev Coordinates are 64 bytes; a G1 point has 128 bytes, a G2 point 256 (x.c0, x.c1, y.c0,
///      y.c1), a scalar 32. Infinity is all zero. Multiplication and pairing refuse points outside
///      the subgroups; addition does not, so it is used on results of the multiplication and on
///      checked key points only. On a chain without the precompiles a call succeeds with an empty
///      answer, hence the size checks.
library Bls12 {
    address internal constant G1_ADD = address(0x0b);
    address internal constant G1_MSM = address(0x0c);
    address internal constant PAIRING = address(0x0f);

    /// A precompile burns all gas it is given when it refuses its input; the self-test gives no
    /// more than this.
    uint256 private constant TEST_GAS = 250_000;

    /// The generator of G1.
    bytes private constant G1 = hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        hex"c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"0000000000000000000000000000000008b3f481e3aaa0f1a09e30ed741d8ae4"
        hex"fcf5e095d5d00af600db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1";
    /// Its negative.
    bytes private constant G1_NEGATIVE = hex"0000000000000000000000000000000017f1d3a73197d7942695638c4fa9ac0f"
        hex"c3688c4f9774b905a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
        hex"00000000000000000000000000000000114d1d6855d545a8aa7d76c8cf2e21f2"
        hex"67816aef1db507c96655b9d5caac42364e6f38ba0ecb751bad54dcd6b939c2ca";
    /// Its double.
    bytes private constant G1_DOUBLE = hex"000000000000000000000000000000000572cbea904d67468808c8eb50a9450c"
        hex"9721db309128012543902d0ac358a62ae28f75bb8f1c7c42c39a8c5529bf0f4e"
        hex"00000000000000000000000000000000166a9d8cabc673a322fda673779d8e38"
        hex"22ba3ecb8670e461f73bb9021d5fd76a4c56d9d4cd16bd1bba86881979749d28";
    /// A point of the curve (x = 4) that is not in the subgroup.
    bytes private constant G1_STRANGER = hex"0000000000000000000000000000000000000000000000000000000000000000"
        hex"0000000000000000000000000000000000000000000000000000000000000004"
        hex"000000000000000000000000000000000a989badd40d6212b33cffc3f3763e9b"
        hex"c760f988c9926b26da9dd85e928483446346b8ed00e1de5d5ea93e354abe706c";
    /// The generator of G2.
    bytes private constant G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051"
        hex"c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65"
        hex"596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351a"
        hex"adfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99"
        hex"cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";

    /// @notice Refuses to go on unless the three precompiles give known answers to known questions.
    function selfTest() internal view {
        (bool ok, bytes memory sum) = add(bytes.concat(G1, G1));
        if (!ok || keccak256(sum) != keccak256(G1_DOUBLE)) {
            revert IVerifier.PrecompileMissing(G1_ADD);
        }
        (ok, sum) = multiply(bytes.concat(G1, bytes32(uint256(1)), G1_DOUBLE, bytes32(uint256(3))));
        (bool known, bytes memory seven) = multiply(bytes.concat(G1, bytes32(uint256(7))));
        (bool doubled, bytes memory two) = multiply(bytes.concat(G1, bytes32(uint256(2))));
        bool agree = keccak256(sum) == keccak256(seven) && keccak256(two) == keccak256(G1_DOUBLE);
        if (!ok || !known || !doubled || !agree) revert IVerifier.PrecompileMissing(G1_MSM);
        (bool stranger,) = multiply(bytes.concat(G1_STRANGER, bytes32(uint256(1))), TEST_GAS);
        if (stranger) revert IVerifier.PrecompileMissing(G1_MSM);
        _testPairing();
    }

    function _testPairing() private view {
        bytes memory good = bytes.concat(G1, G2, G1_NEGATIVE, G2);
        bytes memory bad = bytes.concat(G1, G2, G1, G2);
        bytes memory strange = bytes.concat(G1_STRANGER, G2);
        (bool ok, bool one) = pairing(good, TEST_GAS);
        if (!ok || !one) revert IVerifier.PrecompileMissing(PAIRING);
        (ok, one) = pairing(bad, TEST_GAS);
        if (!ok || one) revert IVerifier.PrecompileMissing(PAIRING);
        (ok,) = pairing(strange, TEST_GAS);
        if (ok) revert IVerifier.PrecompileMissing(PAIRING);
    }

    /// @notice The sum of two G1 points, and whether there is one.
    function add(bytes memory points) internal view returns (bool ok, bytes memory sum) {
        return _call(G1_ADD, points, 128, gasleft());
    }

    /// @notice The sum of scalar products; `terms` are points each followed by its scalar.
    function multiply(bytes memory terms) internal view returns (bool ok, bytes memory sum) {
        return _call(G1_MSM, terms, 128, gasleft());
    }

    function multiply(bytes memory terms, uint256 gasCap)
        internal
        view
        returns (bool, bytes memory)
    {
        return _call(G1_MSM, terms, 128, gasCap);
    }

    /// @notice Whether the pairs are well formed, and whether the product of their pairings is one.
    function pairing(bytes memory pairs) internal view returns (bool ok, bool one) {
        return pairing(pairs, gasleft());
    }

    function pairing(bytes memory pairs, uint256 gasCap) internal view returns (bool ok, bool one) {
        bytes memory answer;
        (ok, answer) = _call(PAIRING, pairs, 32, gasCap);
        one = ok && bytes32(answer) == bytes32(uint256(1));
    }

    /// @notice Refuses key point number `part` if it is infinity or no point of its subgroup.
    /// @param length 128 for G1, 256 for G2.
    function requirePoint(bytes memory key, uint256 offset, uint256 length, uint256 part)
        internal
        view
    {
        bytes memory point = slice(key, offset, length);
        bool ok;
        if (length == 128) (ok,) = multiply(bytes.concat(point, bytes32(uint256(1))), TEST_GAS);
        else (ok,) = pairing(bytes.concat(G1, point), TEST_GAS);
        bytes memory infinity = new bytes(length);
        if (!ok || keccak256(point) == keccak256(infinity)) revert IVerifier.DegenerateKey(part);
    }

    /// @notice The generator of G2.
    function g2() internal pure returns (bytes memory) {
        return G2;
    }

    /// @notice Whether `length` bytes of `a` at `i` equal those of `b` at `j`.
    function equal(bytes memory a, uint256 i, bytes memory b, uint256 j, uint256 length)
        internal
        pure
        returns (bool)
    {
        return keccak256(slice(a, i, length)) == keccak256(slice(b, j, length));
    }

    /// @notice A copy of a part of `whole`, which must have it.
    function slice(bytes memory whole, uint256 offset, uint256 length)
        internal
        pure
        returns (bytes memory part)
    {
        assert(offset + length <= whole.length);
        part = new bytes(length);
        assembly ("memory-safe") {
            mcopy(add(part, 32), add(add(whole, 32), offset), length)
        }
    }

    function _call(address precompile, bytes memory input, uint256 expected, uint256 gasCap)
        private
        view
        returns (bool ok, bytes memory output)
    {
        output = new bytes(expected);
        uint256 size;
        assembly ("memory-safe") {
            ok := staticcall(
                gasCap,
                precompile,
                add(input, 32),
                mload(input),
                add(output, 32),
                expected
            )
            // A statement of its own: Yul evaluates arguments from right to left, and would read
            // the size before the call.
            size := returndatasize()
        }
        ok = ok && size == expected;
    }
}
