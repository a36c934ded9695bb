// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {DevToken} from "../../src/dev/DevToken.sol";
import {EndpointParams, IEndpoint} from "../../src/interfaces/IEndpoint.sol";
import {BlockCommit, BlockProof, IHub} from "../../src/interfaces/IHub.sol";
import {IKeyRecorder} from "../../src/interfaces/IKeyRecorder.sol";
import {ILightOracle} from "../../src/interfaces/ILightOracle.sol";
import {IRollup, OperationsCommit, Portion} from "../../src/interfaces/IRollup.sol";
import {IRoute} from "../../src/interfaces/IRoute.sol";
import {IVerifier} from "../../src/interfaces/IVerifier.sol";
import {Field} from "../../src/libraries/Field.sol";
import {BlockNumber, ChainId} from "../../src/types/Ids.sol";
import {Base} from "./Base.sol";
import {Prover} from "./Prover.sol";
import {Vm} from "./Vm.sol";
import {Words} from "./Words.sol";

/// @dev A whole deployment on one EVM: the hub and a rollup on chain 1 with the route between them,
///      a rollup on chain 2 (the spoke), oracles, key recorders, a shape, three tokens.
abstract contract World is Base {
    uint8 internal constant HUB = 1;
    uint8 internal constant SPOKE = 2;
    bytes32 internal constant DEPLOYMENT = bytes32(uint256(0xdeb107));
    bytes32 internal constant GENESIS = bytes32(uint256(0x6e6e));
    uint32 internal constant ONCHAIN = 64;
    uint32 internal constant DATA = 8;

    uint16 internal constant NATIVE = 1;
    uint16 internal constant USD = 2;
    uint16 internal constant WIDE = 3;

    address internal governor = address(0x60);
    address internal validator = address(0x7a);
    uint256[3] internal attesterKeys;
    IHub internal hub;
    /// The rollup beside the hub.
    IRollup internal near;
    IRollup internal spoke;
    IRoute internal localRoute;
    ILightOracle internal hubOracle;
    ILightOracle internal spokeOracle;
    IKeyRecorder internal nearKeys;
    IKeyRecorder internal spokeKeys;
    IVerifier internal verifier;
    DevToken internal usd;
    DevToken internal wide;

    function setUp() public virtual {
        vm.warp(1_700_000_000);
        _prepare();
        _registerAll();
        _finish();
    }

    function _prepare() internal {
        usd = new DevToken("Dollar", "USD", 6);
        wide = new DevToken("Wide", "WIDE", 18);
        verifier = IVerifier(deploy("Groth16Verifier", abi.encode(Prover.key())));
        for (uint256 i = 0; i < 3; ++i) {
            attesterKeys[i] = 0xa77e57 + i;
        }
        _sortKeys();
        hub = IHub(deploy("Hub", abi.encode(params(HUB), GENESIS)));
        near = IRollup(deploy("Rollup", abi.encode(params(HUB))));
        spoke = IRollup(deploy("Rollup", abi.encode(params(SPOKE))));
        localRoute = IRoute(deploy("LocalRoute", abi.encode(address(hub), address(near))));
        hubOracle = oracleFor(address(hub));
        spokeOracle = oracleFor(address(spoke));
        nearKeys = IKeyRecorder(deploy("KeyRecorder", abi.encode(address(near))));
        spokeKeys = IKeyRecorder(deploy("KeyRecorder", abi.encode(address(spoke))));
    }

    function params(uint8 chain) internal view returns (EndpointParams memory) {
        return EndpointParams(C(chain), C(HUB), DEPLOYMENT, governor, validator);
    }

    function attesterList() internal view returns (address[] memory list) {
        list = new address[](3);
        for (uint256 i = 0; i < 3; ++i) {
            list[i] = vm.addr(attesterKeys[i]);
        }
    }

    function oracleFor(address endpoint) internal returns (ILightOracle) {
        return ILightOracle(deploy("LightOracle", abi.encode(endpoint, attesterList(), 2)));
    }

    /// Everything that the governor registers, but the end of the setup.
    function _registerAll() internal virtual {
        _register(near, nearKeys, localRoute);
        _register(spoke, spokeKeys, spokeOracle);
        vm.startPrank(governor);
        hub.addChain(C(HUB), address(localRoute), localRoute.identity());
        hub.addChain(C(SPOKE), address(hubOracle), hubOracle.identity());
        vm.stopPrank();
        _registerShapes();
    }

    function _register(IRollup rollup, IKeyRecorder keys, IRoute route) internal {
        vm.startPrank(governor);
        rollup.setKeyRecorder(address(keys));
        rollup.addToken(T(NATIVE), address(0), 18, 0);
        rollup.addToken(T(USD), address(usd), 6, 0);
        rollup.addToken(T(WIDE), address(wide), 18, 0);
        rollup.addChain(C(HUB), address(route), route.identity());
        vm.stopPrank();
    }

    function _registerShapes() internal virtual {
        registerShape(1, ONCHAIN, DATA);
    }

    function registerShape(uint16 shape, uint32 onchain, uint32 data) internal {
        bytes32 keyHash = verifier.keyHash();
        vm.prank(governor);
        hub.registerShape(S(shape), onchain, data, verifier, keyHash);
    }

    function _finish() internal {
        vm.startPrank(governor);
        hub.finishSetup();
        near.finishSetup();
        spoke.finishSetup();
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- actions

    function depositUsd(IRollup rollup, address owner, uint256 raw) internal {
        usd.mint(address(this), raw);
        usd.approve(address(rollup), raw);
        rollup.depositERC20(T(USD), raw, padded(owner), 0, 3);
    }

    function depositNative(IRollup rollup, address owner, uint256 raw) internal {
        vm.deal(address(this), address(this).balance + raw);
        rollup.depositNative{value: raw}(padded(owner), 0, 3);
    }

    /// Commits what follows the last record; all deposits are of this contract.
    function commit(IRollup rollup, uint32 number, bytes32[] memory words) internal {
        commitWith(rollup, number, words, new bytes[](0));
    }

    function commitWith(
        IRollup rollup,
        uint32 number,
        bytes32[] memory words,
        bytes[] memory witnesses
    ) internal {
        OperationsCommit[] memory blocks = one(number, words, witnesses);
        bytes32 previous = rollup.rolling();
        vm.prank(validator);
        rollup.commit(previous, blocks);
    }

    function one(uint32 number, bytes32[] memory words, bytes[] memory witnesses)
        internal
        view
        returns (OperationsCommit[] memory blocks)
    {
        blocks = new OperationsCommit[](1);
        blocks[0] = OperationsCommit(N(number), words, witnesses, payersOf(words));
    }

    /// This contract for each deposit.
    function payersOf(bytes32[] memory words) internal view returns (address[] memory payers) {
        uint256 count = 0;
        // Words that are no operation may follow in tests of refusals.
        for (uint256 i = 0; i < words.length; i += words[i][1] == 0x06 ? 4 : 2) {
            if (words[i][1] == 0x01) ++count;
        }
        payers = new address[](count);
        for (uint256 i = 0; i < count; ++i) {
            payers[i] = address(this);
        }
    }

    function revertTo(IRollup rollup, uint32 downTo, bytes32[][] memory words) internal {
        vm.prank(validator);
        rollup.revertCommits(N(downTo), words);
    }

    /// A portion with everything of a block.
    function whole(uint32 number, bytes32[] memory words)
        internal
        pure
        returns (Portion[] memory portions)
    {
        portions = new Portion[](1);
        portions[0].number = N(number);
        portions[0].rest = Words.hash(Words.filter(words, false));
        portions[0].words = Words.filter(words, true);
    }

    function pay(IRollup rollup, uint32 number, bytes32[] memory words) internal {
        rollup.pay(whole(number, words));
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
        return blockAfter(committedBlocks(), hub.root(), newRoot, operations);
    }

    /// The commit of the block after `number`, which left `oldRoot`.
    function blockAfter(
        uint32 number,
        bytes32 oldRoot,
        bytes32 newRoot,
        bytes32[] memory operations
    ) internal view returns (BlockCommit memory info) {
        info.d = uint256(keccak256(abi.encode("digest", newRoot))) % Field.MODULUS;
        bytes32[] memory head = Words.head(oldRoot, newRoot, number + 1, uint64(block.timestamp), 1);
        info.onchain = Words.join(head, operations);
        info.data = new bytes32[](2);
        info.data[1] = bytes32(uint256(77));
    }

    function committedBlocks() internal view returns (uint32) {
        return BlockNumber.unwrap(hub.blocksCommitted());
    }

    function commitBlock(BlockCommit memory info) internal returns (uint256[4] memory inputs) {
        BlockCommit[] memory blocks = new BlockCommit[](1);
        blocks[0] = info;
        return commitBlocks(blocks)[0];
    }

    function commitBlocks(BlockCommit[] memory blocks)
        internal
        returns (uint256[4][] memory inputs)
    {
        vm.recordLogs();
        vm.prank(validator);
        hub.commitBlocks(blocks);
        return committedInputs();
    }

    /// The public inputs that the recorded events name.
    function committedInputs() internal returns (uint256[4][] memory inputs) {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        inputs = new uint256[4][](logs.length);
        uint256 count = 0;
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].topics[0] != IHub.BlockCommitted.selector) continue;
            (, uint256 d, uint256 z, uint256 yData, uint256 yOnchain) =
                abi.decode(logs[i].data, (bytes32, uint256, uint256, uint256, uint256));
            inputs[count++] = [d, z, yData, yOnchain];
        }
        assembly {
            mstore(inputs, count)
        }
    }

    function prove(uint32 number, uint256[4] memory inputs) internal {
        hub.proveBlocks(N(number), oneProof(inputs, Prover.prove(inputs)));
    }

    function oneProof(uint256[4] memory inputs, bytes memory proof)
        internal
        pure
        returns (BlockProof[] memory proofs)
    {
        proofs = new BlockProof[](1);
        proofs[0] = BlockProof(inputs, proof);
    }

    /// Carries the next message from one oracle to the other, with two signatures.
    function relay(ILightOracle from, ILightOracle to, bytes memory payload) internal {
        ChainId source = from.chain();
        uint64 sequence = to.deliveredCount(source);
        bytes[] memory signatures = sign(to.digest(source, sequence, payload), 2);
        deliver(to, source, sequence, payload, signatures);
    }

    function deliver(
        ILightOracle to,
        ChainId source,
        uint64 sequence,
        bytes memory payload,
        bytes[] memory signatures
    ) internal {
        (bytes[] memory payloads, bytes[][] memory lists) = oneMessage(payload, signatures);
        to.deliver(source, sequence, payloads, lists);
    }

    function oneMessage(bytes memory payload, bytes[] memory signatures)
        internal
        pure
        returns (bytes[] memory payloads, bytes[][] memory lists)
    {
        (payloads, lists) = (new bytes[](1), new bytes[][](1));
        (payloads[0], lists[0]) = (payload, signatures);
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
