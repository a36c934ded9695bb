// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {EndpointParams, IEndpoint} from "../src/interfaces/IEndpoint.sol";
import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {IKeyRecorder} from "../src/interfaces/IKeyRecorder.sol";
import {ILocalRoute} from "../src/interfaces/ILocalRoute.sol";
import {IRollup, OperationsCommit, Portion} from "../src/interfaces/IRollup.sol";
import {IRoute} from "../src/interfaces/IRoute.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Field} from "../src/libraries/Field.sol";
import {Prover} from "./base/Prover.sol";
import {World} from "./base/World.sol";

contract SetupTest is World {
    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
    }

    function testNothingWorksBeforeTheSetupIsFinished() public {
        _register(spoke, spokeKeys, spokeOracle);
        bytes32[] memory words = new bytes32[](2);
        bytes32 owner = bytes32(uint256(1));
        vm.deal(address(this), 1);
        vm.startPrank(validator);
        bytes[10] memory calls = [
            abi.encodeCall(IRollup.depositNative, (owner, 0, 0)),
            abi.encodeCall(IRollup.depositERC20, (T(USD), 1, owner, 0, 0)),
            abi.encodeCall(IRollup.commit, (0, new OperationsCommit[](1))),
            abi.encodeCall(IRollup.ack, (N(1), 0)),
            abi.encodeCall(IRollup.revertCommits, (N(0), new bytes32[][](0))),
            abi.encodeCall(IRollup.pay, (new Portion[](1))),
            abi.encodeCall(IRollup.claim, (address(1), T(USD))),
            abi.encodeCall(IRollup.claimTo, (T(USD), address(1))),
            abi.encodeCall(IRollup.refund, (N(1), words, words, 0, new address[](1))),
            abi.encodeWithSignature("onMessage(uint8,bytes)", HUB, "")
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            _closed(address(spoke), calls[i]);
        }
        bytes[6] memory hubCalls = [
            abi.encodeCall(IHub.commitBlocks, (new BlockCommit[](1))),
            abi.encodeCall(IHub.commitAndProve, (new BlockCommit[](1), new bytes[](1))),
            abi.encodeCall(IHub.releaseBlocks, (N(1))),
            abi.encodeCall(IHub.sendRelease, (C(HUB))),
            abi.encodeCall(IHub.revertBlocks, (N(0))),
            abi.encodeWithSignature("onMessage(uint8,bytes)", HUB, "")
        ];
        for (uint256 i = 0; i < hubCalls.length; ++i) {
            _closed(address(hub), hubCalls[i]);
        }
    }

    function _closed(address target, bytes memory call) private {
        (bool ok, bytes memory answer) = target.call(call);
        vm.assertFalse(ok, "must not work");
        eq(bytes32(bytes4(answer)), bytes32(IEndpoint.SetupNotFinished.selector), "reason");
    }

    function testNothingButShapesIsRegisteredAfterTheSetup() public {
        _registerAll();
        _finish();
        bytes32 identity = hubOracle.identity();
        vm.startPrank(governor);
        vm.expectRevert(IEndpoint.SetupAlreadyFinished.selector);
        spoke.addToken(T(9), address(verifier), 18, 0);
        vm.expectRevert(IEndpoint.SetupAlreadyFinished.selector);
        spoke.setKeyRecorder(address(spokeKeys));
        vm.expectRevert(IEndpoint.SetupAlreadyFinished.selector);
        hub.addChain(C(9), address(hubOracle), identity);
        vm.expectRevert(IEndpoint.SetupAlreadyFinished.selector);
        spoke.finishSetup();
        vm.expectRevert(IEndpoint.SetupAlreadyFinished.selector);
        hub.finishSetup();
    }

    function testOnlyTheGovernorSetsUp() public {
        address stranger = address(0xbad);
        vm.startPrank(stranger);
        bytes memory refused = abi.encodeWithSelector(IEndpoint.Forbidden.selector, stranger);
        vm.expectRevert(refused);
        spoke.addToken(T(1), address(0), 18, 0);
        vm.expectRevert(refused);
        spoke.setKeyRecorder(address(spokeKeys));
        vm.expectRevert(refused);
        spoke.addChain(C(HUB), address(spokeOracle), 0);
        vm.expectRevert(refused);
        hub.registerShape(S(1), ONCHAIN, DATA, verifier, 0);
        vm.expectRevert(refused);
        spoke.finishSetup();
    }

    function testTokensAreRegisteredOnceWithTheirOwnDecimals() public {
        _badToken(0, address(usd));
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadDecimals.selector, 1, 19));
        spoke.addToken(T(1), address(0), 19, 0);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadDecimals.selector, 1, 6));
        spoke.addToken(T(1), address(usd), 18, 0);
        spoke.setKeyRecorder(address(spokeKeys));
        vm.stopPrank();
        _badToken(1, address(0xeeee));
        _badToken(1, address(spoke));
        _badToken(1, address(spokeKeys));
        vm.prank(governor);
        spoke.addToken(T(1), address(usd), 6, 0);
        _badToken(1, address(wide));
        _badToken(2, address(usd));
        vm.prank(governor);
        spoke.addToken(T(2), address(0), 18, 77);
        _badToken(3, address(0));
        (address addr, uint8 decimals, bool listed, uint80 least) = spoke.token(T(1));
        eq(addr, address(usd), "address");
        eq(decimals, 6, "decimals");
        vm.assertTrue(listed, "listed");
        eq(least, 1, "nothing is no deposit");
        (,,, least) = spoke.token(T(2));
        eq(least, 77, "least");
    }

    function _badToken(uint16 id, address token) private {
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, id, token));
        spoke.addToken(T(id), token, token == address(usd) ? 6 : 18, 0);
    }

    function testChainsAreRegisteredOnce() public {
        bytes32 identity = hubOracle.identity();
        vm.startPrank(governor);
        uint8[3] memory bad = [0, 64, 200];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadChain.selector, bad[i]));
            hub.addChain(C(bad[i]), address(hubOracle), identity);
        }
        hub.addChain(C(2), address(hubOracle), identity);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadChain.selector, 2));
        hub.addChain(C(2), address(hubOracle), identity);
        // A rollup talks to the hub only, and cannot start without it, nor without its recorder.
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadChain.selector, 3));
        spoke.addChain(C(3), address(spokeOracle), identity);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadRoute.selector, address(0)));
        spoke.finishSetup();
        spoke.addChain(C(HUB), address(spokeOracle), spokeOracle.identity());
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadKeyRecorder.selector, address(0)));
        spoke.finishSetup();
    }

    /// A route must be what it claims: for this contract, chain and deployment, with the attesters
    /// that were agreed; the route between hub and rollup is accepted for their own chain only.
    function testRoutesAreChecked() public {
        bytes32 identity = hubOracle.identity();
        _badRoute(hub, 2, address(0xeeee), identity);
        _badRoute(hub, 2, address(usd), identity);
        _badRoute(hub, 2, address(hubOracle), bytes32(uint256(identity) ^ 1));
        _badRoute(hub, 2, address(spokeOracle), spokeOracle.identity());
        _badRoute(hub, 2, address(localRoute), localRoute.identity());
        _badRoute(hub, HUB, address(hubOracle), identity);
        _badRoute(spoke, HUB, address(localRoute), localRoute.identity());
        _badRoute(near, HUB, address(hubOracle), identity);
        // The same attesters, but fewer must sign.
        address loose = deploy("LightOracle", abi.encode(address(hub), attesterList(), 1));
        _badRoute(hub, 2, loose, identity);
    }

    function _badRoute(IEndpoint endpoint, uint8 chain, address route, bytes32 identity) private {
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IEndpoint.BadRoute.selector, route));
        endpoint.addChain(C(chain), route, identity);
    }

    function testTheLocalRouteJoinsOneHubAndOneRollup() public {
        vm.expectRevert(ILocalRoute.BadConfiguration.selector);
        this.make("LocalRoute", abi.encode(address(hub), address(spoke)));
        vm.expectRevert(ILocalRoute.BadConfiguration.selector);
        this.make("LocalRoute", abi.encode(address(hub), address(hub)));
        vm.expectRevert(ILocalRoute.BadConfiguration.selector);
        this.make("LocalRoute", abi.encode(address(hub), address(0xeeee)));
        eq(localRoute.peer(address(hub)), address(near), "peer of the hub");
        eq(localRoute.peer(address(near)), address(hub), "peer of the rollup");
        eq(localRoute.peer(address(this)), address(0), "of nobody else");
        vm.expectRevert(abi.encodeWithSelector(ILocalRoute.Forbidden.selector, address(this)));
        localRoute.send(C(HUB), "");
        vm.prank(address(hub));
        vm.expectRevert(abi.encodeWithSelector(ILocalRoute.BadChain.selector, SPOKE));
        localRoute.send(C(SPOKE), "");
        vm.deal(address(hub), 1);
        vm.prank(address(hub));
        vm.expectRevert(abi.encodeWithSelector(ILocalRoute.NoFee.selector, 1));
        localRoute.send{value: 1}(C(HUB), "");
    }

    function testRecordersAreChecked() public {
        _badRecorder(address(nearKeys));
        _badRecorder(address(usd));
        _badRecorder(address(0xeeee));
        vm.prank(governor);
        spoke.setKeyRecorder(address(spokeKeys));
        _badRecorder(address(spokeKeys));
        vm.expectRevert(abi.encodeWithSelector(IKeyRecorder.BadRollup.selector, address(0xeeee)));
        this.make("KeyRecorder", abi.encode(address(0xeeee)));
    }

    function _badRecorder(address recorder) private {
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadKeyRecorder.selector, recorder));
        spoke.setKeyRecorder(recorder);
    }

    function testShapesAreRegisteredOnceWithinBounds() public {
        bytes32 keyHash = keccak256(Prover.key());
        uint32[2][3] memory bad = [[uint32(2), 0], [uint32(3), 4097], [uint32(4097), 0]];
        vm.startPrank(governor);
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
            hub.registerShape(S(1), bad[i][0], bad[i][1], verifier, keyHash);
        }
        address[2] memory none = [address(0xeeee), address(usd)];
        for (uint256 i = 0; i < 2; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
            hub.registerShape(S(1), 3, 0, IVerifier(none[i]), keyHash);
        }
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 3, 0, verifier, bytes32(uint256(keyHash) ^ 1));
        hub.registerShape(S(1), 3, 4096, verifier, keyHash);
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 3, 4096, verifier, keyHash);
    }

    /// A verifier that names a key hash, but has another key.
    function testAKeyIsReadAndNotBelieved() public {
        bytes32 keyHash = verifier.keyHash();
        Pretender pretender = new Pretender(keyHash, address(usd));
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 3, 0, IVerifier(address(pretender)), keyHash);
    }

    /// After the setup shapes come with a delay, and the old ones cannot be changed.
    function testLaterShapesWait() public {
        _registerAll();
        _finish();
        registerShape(2, 20, 5);
        (,,, uint64 from) = hub.shapeInfo(S(2));
        eq(from, block.timestamp + 37 days, "usable from");
        bytes32 keyHash = verifier.keyHash();
        vm.prank(governor);
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 20, 5, verifier, keyHash);
        BlockCommit[] memory blocks = new BlockCommit[](1);
        for (uint256 i = 0; i < 2; ++i) {
            vm.warp(from - 1 + i);
            blocks[0] = nextBlock(bytes32(uint256(5)), new bytes32[](0));
            blocks[0].onchain[2] |= bytes32(uint256(3) << 136);
            blocks[0].onchain[2] ^= bytes32(uint256(1) << 136);
            vm.prank(validator);
            if (i == 0) {
                vm.expectRevert(abi.encodeWithSelector(IHub.ShapeNotUsableYet.selector, 2, from));
            }
            hub.commitBlocks(blocks);
        }
        eq(committedBlocks(), 1, "committed when the time had come");
    }

    function testConstructorsRefuseContradictions() public {
        for (uint256 i = 0; i < 8; ++i) {
            EndpointParams memory p = params(SPOKE);
            if (i == 0) p.chain = C(0);
            if (i == 1) p.chain = C(64);
            if (i == 2) p.hub = C(0);
            if (i == 3) p.hub = C(64);
            if (i == 4) p.deploymentId = 0;
            if (i == 5) p.deploymentId = bytes32(uint256(1) << 248);
            if (i == 6) p.governor = address(0);
            if (i == 7) p.validator = address(0);
            vm.expectRevert(IEndpoint.BadConfiguration.selector);
            this.make("Rollup", abi.encode(p));
        }
        EndpointParams memory asHub = params(HUB);
        EndpointParams memory asSpoke = params(SPOKE);
        vm.expectRevert(IEndpoint.BadConfiguration.selector);
        this.make("Hub", abi.encode(asSpoke, GENESIS));
        vm.expectRevert(abi.encodeWithSelector(IHub.BadRoot.selector, bytes32(0)));
        this.make("Hub", abi.encode(asHub, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(IHub.BadRoot.selector, Field.MODULUS));
        this.make("Hub", abi.encode(asHub, Field.MODULUS));
    }

    /// One bytecode for every chain, the hub's included, and room for what comes later.
    function testSizes() public view {
        eq(keccak256(_code(address(near))), keccak256(_code(address(spoke))), "one bytecode");
        vm.assertLe(address(spoke).code.length, 24_576 - 10_000, "bytes free in Rollup");
        vm.assertLe(address(hub).code.length, 24_576 - 14_000, "bytes free in Hub");
    }

    /// The code without the immutable chain number, in which the two differ.
    function _code(address target) private view returns (bytes memory code) {
        code = target.code;
        bytes memory other = (target == address(near) ? address(spoke) : address(near)).code;
        for (uint256 i = 0; i < code.length; ++i) {
            if (code[i] != other[i]) code[i] = 0;
        }
    }

    function make(string calldata name, bytes calldata arguments) external {
        deploy(name, arguments);
    }
}

/// @dev Claims to have a key.
contract Pretender {
    bytes32 public immutable keyHash;
    address public immutable keyStore;

    constructor(bytes32 hash, address store) {
        (keyHash, keyStore) = (hash, store);
    }
}
