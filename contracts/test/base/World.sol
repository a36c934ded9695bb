// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {DevToken} from "../../src/dev/DevToken.sol";
import {BlockCommit, IHub} from "../../src/interfaces/IHub.sol";
import {ILightOracle} from "../../src/interfaces/ILightOracle.sol";
import {IRollup, RollupParams} from "../../src/interfaces/IRollup.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Field} from "../../src/libraries/Field.sol";
import {BlockNumber, ChainId} from "../../src/types/Ids.sol";
import {Base} from "./Base.sol";
import {Prover} from "./Prover.sol";
import {Vm} from "./Vm.sol";
import {Words} from "./Words.sol";

/// @dev A whole deployment on one EVM: hub (chain 1), spoke (chain 2), their oracles, a shape,
///      three tokens.
abstract contract World is Base {
    uint8 internal constant HUB = 1;
    uint8 internal constant SPOKE = 2;
    bytes32 internal constant DEPLOYMENT = bytes32(uint256(0xdeb107));
    bytes32 internal constant GENESIS = bytes32(uint256(0x6e6e));
    uint32 internal constant ONCHAIN = 15;
    uint32 internal constant DATA = 4;

    uint16 internal constant NATIVE = 1;
    uint16 internal constant USD = 2;
    uint16 internal constant WIDE = 3;

    address internal governor = address(0x60);
    address internal validator = address(0x7a);
    uint256[3] internal attesterKeys;
    IHub internal hub;
    IRollup internal spoke;
    ILightOracle internal hubOracle;
    ILightOracle internal spokeOracle;
    IVerifier internal verifier;
    DevToken internal usd;
    DevToken internal wide;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        _prepare();
        _register(hub, hubOracle, SPOKE);
        _register(spoke, spokeOracle, HUB);
        _registerShapes();
        _finish();
    }

    function _prepare() internal {
        usd = new DevToken("Dollar", "USD", 6);
        wide = new DevToken("Wide", "WIDE", 18);
        verifier = IVerifier(deploy("Groth16Verifier", abi.encode(Prover.key())));
        address[] memory attesters = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            attesterKeys[i] = 0xa77e57 + i;
            attesters[i] = vm.addr(attesterKeys[i]);
        }
        _sortKeys();
        hubOracle = ILightOracle(deploy("LightOracle", abi.encode(HUB, DEPLOYMENT, attesters, 2)));
        spokeOracle =
            ILightOracle(deploy("LightOracle", abi.encode(SPOKE, DEPLOYMENT, attesters, 2)));
        hub = IHub(deploy("Hub", abi.encode(params(HUB), GENESIS)));
        spoke = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        hubOracle.bind(address(hub));
        spokeOracle.bind(address(spoke));
    }

    function params(uint8 chain) internal view returns (RollupParams memory) {
        return RollupParams(C(chain), C(HUB), DEPLOYMENT, governor, validator);
    }

    function _register(IRollup rollup, ILightOracle oracle, uint8 other) internal {
        vm.startPrank(governor);
        rollup.addToken(T(NATIVE), address(0), 18);
        rollup.addToken(T(USD), address(usd), 6);
        rollup.addToken(T(WIDE), address(wide), 18);
        rollup.addChain(C(other), address(oracle));
        vm.stopPrank();
    }

    function _registerShapes() internal virtual {
        vm.prank(governor);
        hub.registerShape(S(1), ONCHAIN, DATA, verifier);
    }

    function _finish() internal {
        vm.startPrank(governor);
        hub.finishSetup();
        spoke.finishSetup();
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- actions

    function depositUsd(IRollup rollup, address owner, uint256 raw) internal {
        usd.mint(address(this), raw);
        usd.approve(address(rollup), raw);
        rollup.depositERC20(T(USD), raw, padded(owner), 3);
    }

    function depositNative(IRollup rollup, address owner, uint256 raw) internal {
        vm.deal(address(this), address(this).balance + raw);
        rollup.depositNative{value: raw}(padded(owner), 3);
    }

    /// Commits what follows the last record.
    function commit(IRollup rollup, uint32 number, bytes32[] memory words) internal {
        commitWith(rollup, number, words, new bytes[](0));
    }

    function commitWith(
        IRollup rollup,
        uint32 number,
        bytes32[] memory words,
        bytes[] memory witnesses
    ) internal {
        bytes32 previous = rollup.rolling();
        vm.prank(validator);
        rollup.commit(N(number), previous, words, witnesses);
    }

    /// Acknowledges a record by its content.
    function ack(IRollup rollup, uint32 number) internal {
        (, bytes32 rolling,) = rollup.recordOf(N(number));
        rollup.ack(N(number), rolling);
    }

    /// The commit of the hub's next block; `operations` are the words of all chains.
    function nextBlock(bytes32 newRoot, bytes32[] memory operations)
        internal
        view
        returns (BlockCommit memory info)
    {
        info.number = N(committedBlocks() + 1);
        info.shape = S(1);
        info.timestamp = uint64(block.timestamp);
        info.newRoot = newRoot;
        info.d = uint256(keccak256(abi.encode("digest", newRoot))) % Field.MODULUS;
        bytes32[] memory head =
            Words.head(hub.root(), newRoot, committedBlocks() + 1, info.timestamp, 1);
        info.onchain = Words.padTo(Words.join(head, operations), ONCHAIN);
        info.data = new bytes32[](DATA);
        info.data[1] = bytes32(uint256(77));
    }

    function committedBlocks() internal view returns (uint32) {
        return BlockNumber.unwrap(hub.blocksCommitted());
    }

    function commitBlock(BlockCommit memory info) internal returns (uint256[4] memory inputs) {
        vm.recordLogs();
        vm.prank(validator);
        hub.commitBlock(info);
        Vm.Log[] memory logs = vm.getRecordedLogs();
        Vm.Log memory last = logs[logs.length - 1];
        (, uint256 d, uint256 z, uint256 yData, uint256 yOnchain) =
            abi.decode(last.data, (bytes32, uint256, uint256, uint256, uint256));
        return [d, z, yData, yOnchain];
    }

    function prove(uint32 number, uint256[4] memory inputs) internal {
        hub.proveBlock(N(number), inputs, Prover.prove(inputs));
    }

    /// Carries the next message from one oracle to the other, with two signatures.
    function relay(ILightOracle from, ILightOracle to, bytes memory payload) internal {
        ChainId source = from.chain();
        uint64 sequence = to.deliveredCount(source);
        to.deliver(source, sequence, payload, sign(to.digest(source, sequence, payload), 2));
    }

    function sign(bytes32 digest, uint256 count) internal view returns (bytes[] memory signatures) {
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            signatures[i] = signature(attesterKeys[i], digest);
        }
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function ackPayload(uint8 chain, uint32 number, bytes32 rolling)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(uint8(1), chain, number, rolling);
    }

    function releasePayload(uint32 number, bytes32 root, bytes32 rolling)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encode(uint8(2), number, root, rolling);
    }

    /// Ascending by address, as the oracle wants signatures.
    function _sortKeys() private {
        for (uint256 i = 0; i < 3; ++i) {
            for (uint256 j = i + 1; j < 3; ++j) {
                if (vm.addr(attesterKeys[j]) < vm.addr(attesterKeys[i])) {
                    (attesterKeys[i], attesterKeys[j]) = (attesterKeys[j], attesterKeys[i]);
                }
            }
        }
    }

    receive() external payable {}
}
