// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {BlockCommit, IHub} from "../src/interfaces/IHub.sol";
import {IRollup, RollupParams} from "../src/interfaces/IRollup.sol";
import {IVerifier} from "../src/interfaces/IVerifier.sol";
import {Field} from "../src/libraries/Field.sol";
import {World} from "./base/World.sol";

contract SetupTest is World {
    function setUp() public override {
        vm.warp(1_700_000_000);
        _prepare();
    }

    function testNothingWorksBeforeTheSetupIsFinished() public {
        _register(spoke, spokeOracle, HUB);
        bytes[] memory none = new bytes[](0);
        bytes32[] memory words = new bytes32[](2);
        BlockCommit memory info;
        vm.deal(address(this), 1);
        vm.startPrank(validator);
        bytes[8] memory calls = [
            abi.encodeCall(IRollup.depositNative, (bytes32(uint256(1)), 0)),
            abi.encodeCall(IRollup.depositERC20, (T(USD), 1, bytes32(uint256(1)), 0)),
            abi.encodeCall(IRollup.commit, (N(1), 0, words, none)),
            abi.encodeCall(IRollup.ack, (N(1), 0)),
            abi.encodeCall(IRollup.revertCommits, (N(0))),
            abi.encodeCall(IRollup.pay, (N(1), words)),
            abi.encodeCall(IRollup.claim, (address(1), T(USD))),
            abi.encodeWithSignature("onMessage(uint8,bytes)", HUB, "")
        ];
        for (uint256 i = 0; i < calls.length; ++i) {
            (bool ok, bytes memory answer) = address(spoke).call(calls[i]);
            vm.assertFalse(ok, "must not work");
            eq(bytes32(bytes4(answer)), bytes32(IRollup.SetupNotFinished.selector), "reason");
        }
        vm.expectRevert(IRollup.SetupNotFinished.selector);
        hub.commitBlock(info);
    }

    function testNothingIsRegisteredAfterTheSetup() public {
        _register(spoke, spokeOracle, HUB);
        _register(hub, hubOracle, SPOKE);
        _finish();
        vm.startPrank(governor);
        vm.expectRevert(IRollup.SetupAlreadyFinished.selector);
        spoke.addToken(T(9), address(verifier), 18);
        vm.expectRevert(IRollup.SetupAlreadyFinished.selector);
        hub.addChain(C(9), address(hubOracle));
        vm.expectRevert(IRollup.SetupAlreadyFinished.selector);
        hub.registerShape(S(9), ONCHAIN, DATA, verifier);
        vm.expectRevert(IRollup.SetupAlreadyFinished.selector);
        spoke.finishSetup();
    }

    function testOnlyTheGovernorSetsUp() public {
        address stranger = address(0xbad);
        vm.startPrank(stranger);
        bytes memory refused = abi.encodeWithSelector(IRollup.Forbidden.selector, stranger);
        vm.expectRevert(refused);
        spoke.addToken(T(1), address(0), 18);
        vm.expectRevert(refused);
        spoke.addChain(C(HUB), address(spokeOracle));
        vm.expectRevert(refused);
        hub.registerShape(S(1), ONCHAIN, DATA, verifier);
        vm.expectRevert(refused);
        spoke.finishSetup();
    }

    function testTokensAreRegisteredOnceWithTheirOwnDecimals() public {
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 0, address(usd)));
        spoke.addToken(T(0), address(usd), 6);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadDecimals.selector, 1, 19));
        spoke.addToken(T(1), address(0), 19);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadDecimals.selector, 1, 6));
        spoke.addToken(T(1), address(usd), 18);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 1, address(0xeeee)));
        spoke.addToken(T(1), address(0xeeee), 18);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 1, address(spoke)));
        spoke.addToken(T(1), address(spoke), 18);
        spoke.addToken(T(1), address(usd), 6);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 1, address(wide)));
        spoke.addToken(T(1), address(wide), 18);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 2, address(usd)));
        spoke.addToken(T(2), address(usd), 6);
        spoke.addToken(T(2), address(0), 18);
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadToken.selector, 3, address(0)));
        spoke.addToken(T(3), address(0), 18);
        (address addr, uint8 decimals, bool listed) = spoke.token(T(1));
        eq(addr, address(usd), "address");
        eq(decimals, 6, "decimals");
        vm.assertTrue(listed, "listed");
    }

    function testChainsAreRegisteredOnce() public {
        vm.startPrank(governor);
        uint8[4] memory bad = [0, 64, 200, HUB];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IRollup.BadChain.selector, bad[i]));
            hub.addChain(C(bad[i]), address(hubOracle));
        }
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadRoute.selector, address(0xeeee)));
        hub.addChain(C(2), address(0xeeee));
        hub.addChain(C(2), address(hubOracle));
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadChain.selector, 2));
        hub.addChain(C(2), address(hubOracle));
        // A spoke talks to the hub only, and cannot start without it.
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadChain.selector, 3));
        spoke.addChain(C(3), address(spokeOracle));
        vm.expectRevert(abi.encodeWithSelector(IRollup.BadRoute.selector, address(0)));
        spoke.finishSetup();
    }

    function testShapesAreRegisteredOnceWithinBounds() public {
        vm.startPrank(governor);
        uint32[2][3] memory bad = [[uint32(2), 0], [uint32(3), 4097], [uint32(65_537), 0]];
        for (uint256 i = 0; i < bad.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
            hub.registerShape(S(1), bad[i][0], bad[i][1], verifier);
        }
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 3, 0, IVerifier(address(0xeeee)));
        hub.registerShape(S(1), 3, 4096, verifier);
        vm.expectRevert(abi.encodeWithSelector(IHub.BadShape.selector, 1));
        hub.registerShape(S(1), 3, 4096, verifier);
    }

    function testConstructorsRefuseContradictions() public {
        for (uint256 i = 0; i < 8; ++i) {
            RollupParams memory p = params(SPOKE);
            if (i == 0) p.chain = C(0);
            if (i == 1) p.chain = C(64);
            if (i == 2) p.hub = C(0);
            if (i == 3) p.hub = C(64);
            if (i == 4) p.deploymentId = 0;
            if (i == 5) p.deploymentId = bytes32(uint256(1) << 248);
            if (i == 6) p.governor = address(0);
            if (i == 7) p.validator = address(0);
            vm.expectRevert(IRollup.BadConfiguration.selector);
            this.make("Rollup", abi.encode(p));
        }
        RollupParams memory asHub = params(HUB);
        vm.expectRevert(IRollup.BadConfiguration.selector);
        this.make("Rollup", abi.encode(asHub));
        RollupParams memory asSpoke = params(SPOKE);
        vm.expectRevert(IRollup.BadConfiguration.selector);
        this.make("Hub", abi.encode(asSpoke, GENESIS));
        vm.expectRevert(abi.encodeWithSelector(IHub.BadRoot.selector, bytes32(0)));
        this.make("Hub", abi.encode(asHub, bytes32(0)));
        vm.expectRevert(abi.encodeWithSelector(IHub.BadRoot.selector, Field.MODULUS));
        this.make("Hub", abi.encode(asHub, Field.MODULUS));
    }

    function make(string calldata name, bytes calldata arguments) external {
        deploy(name, arguments);
    }
}
