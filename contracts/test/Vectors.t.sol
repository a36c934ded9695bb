// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {ILightOracle} from "../src/interfaces/ILightOracle.sol";
import {IRollup} from "../src/interfaces/IRollup.sol";
import {IRoute} from "../src/interfaces/IRoute.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {ChainId} from "../src/types/Ids.sol";
import {World} from "./base/World.sol";

/// @dev What an oracle asks its endpoint when it is made.
contract Endpoint {
    ChainId public immutable chain;
    bytes32 public immutable deploymentId;

    constructor(ChainId id, bytes32 deployment) {
        (chain, deploymentId) = (id, deployment);
    }
}

/// @dev Blocks from a file, against the published bytecode. test/vectors/settlement.json is made by
///      test/generate/settlement.mjs; ../vectors/settlement.json by the Rust side. Its form:
///
/// { genesisRoot, timestamp, shape, onchainWords, dataWords, key?: bytes, blocks: [{ number,
///        timestamp, newRoot, d, z, yData, yOnchain, onchain: [], data: [], contents: [{ chain,
///        rolling }], proof?: bytes }], oracle?: { deploymentId, address, source, destination, sequence,
///        payload: bytes, digest } }
///
/// Words are 0x and 64 digits; numbers are JSON numbers. A `key` is the constructor's argument of
///      Groth16Verifier, and every block with a `proof` must then be proven by it. Chain 1 is the
///      hub.
contract VectorsTest is World {
    string private constant OWN = "test/vectors/settlement.json";
    string private constant SHARED = "../vectors/settlement.json";
    string private json;

    function testOwnVectors() public {
        json = vm.readFile(OWN);
        eq(_play(), 2, "blocks");
        _checkOracle();
    }

    function testSharedVectors() public {
        json = vm.readFile(SHARED);
        vm.assertGe(_play(), 1, "blocks");
        if (vm.keyExistsJson(json, ".oracle")) _checkOracle();
    }

    function _play() private returns (uint256 count) {
        bool keyed = vm.keyExistsJson(json, ".key");
        _deployHub(keyed);
        while (vm.keyExistsJson(json, _path(count, ""))) {
            string memory item = _path(count++, "");
            BlockCommit memory info = _block(item);
            vm.warp(vm.parseJsonUint(json, string.concat(item, ".timestamp")));
            uint256[4] memory inputs = commitBlock(info);
            eq(inputs[1], uint256(_word(item, ".z")), "z");
            eq(inputs[2], uint256(_word(item, ".yData")), "yData");
            eq(inputs[3], uint256(_word(item, ".yOnchain")), "yOnchain");
            _checkContents(item, count);
            if (!keyed || !vm.keyExistsJson(json, string.concat(item, ".proof"))) continue;
            bytes memory proof = vm.parseJsonBytes(json, string.concat(item, ".proof"));
            hub.proveBlocks(N(count), oneProof(inputs, proof));
        }
    }

    /// A hub with all chains, the file's genesis, shape and key.
    function _deployHub(bool keyed) private {
        vm.warp(vm.parseJsonUint(json, ".timestamp"));
        if (keyed) {
            bytes memory key = vm.parseJsonBytes(json, ".key");
            verifier = IVerifier(deploy("Groth16Verifier", abi.encode(key)));
        }
        bytes32 genesis = vm.parseJsonBytes32(json, ".genesisRoot");
        hub = IHub(deploy("Hub", abi.encode(params(HUB), genesis)));
        uint256 shape = vm.parseJsonUint(json, ".shape");
        uint256 onchain = vm.parseJsonUint(json, ".onchainWords");
        uint256 data = vm.parseJsonUint(json, ".dataWords");
        near = IRollup(deploy("Rollup", abi.encode(params(HUB))));
        localRoute = IRoute(deploy("LocalRoute", abi.encode(address(hub), address(near))));
        hubOracle = oracleFor(address(hub));
        bytes32 keyHash = verifier.keyHash();
        vm.startPrank(governor);
        hub.addChain(C(HUB), address(localRoute), localRoute.identity());
        for (uint256 chain = 2; chain < 64; ++chain) {
            hub.addChain(C(chain), address(hubOracle), hubOracle.identity());
        }
        hub.registerShape(S(shape), uint32(onchain), uint32(data), verifier, keyHash);
        hub.finishSetup();
        vm.stopPrank();
    }

    function _block(string memory item) private view returns (BlockCommit memory info) {
        info.d = uint256(_word(item, ".d"));
        info.onchain = vm.parseJsonBytes32Array(json, string.concat(item, ".onchain"));
        info.data = vm.parseJsonBytes32Array(json, string.concat(item, ".data"));
    }

    function _checkContents(string memory item, uint256 number) private view {
        for (uint256 i = 0;; ++i) {
            string memory content = string.concat(item, ".contents[", vm.toString(i), "]");
            if (!vm.keyExistsJson(json, content)) return;
            uint256 chain = vm.parseJsonUint(json, string.concat(content, ".chain"));
            eq(hub.rollingOf(N(number), C(chain)), _word(content, ".rolling"), "rolling");
        }
    }

    function _checkOracle() private {
        bytes32 id = _word(".oracle", ".deploymentId");
        uint256 destination = vm.parseJsonUint(json, ".oracle.destination");
        uint256 source = vm.parseJsonUint(json, ".oracle.source");
        uint256 sequence = vm.parseJsonUint(json, ".oracle.sequence");
        bytes memory payload = vm.parseJsonBytes(json, ".oracle.payload");
        address place = address(uint160(uint256(_word(".oracle", ".address"))));
        Endpoint endpoint = new Endpoint(C(destination), id);
        // The digest binds the oracle's address, so its code is put where the file says.
        bytes memory code = deploy("LightOracle", abi.encode(endpoint, attesterList(), 1)).code;
        vm.etch(place, code);
        bytes32 digest = ILightOracle(place).digest(C(source), uint64(sequence), payload);
        eq(digest, _word(".oracle", ".digest"), "oracle digest");
    }

    function _path(uint256 i, string memory field) private pure returns (string memory) {
        return string.concat(".blocks[", vm.toString(i), "]", field);
    }

    function _word(string memory item, string memory field) private view returns (bytes32) {
        return vm.parseJsonBytes32(json, string.concat(item, field));
    }
}
