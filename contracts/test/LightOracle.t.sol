// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ILightOracle} from "../src/interfaces/ILightOracle.sol";
import {ChainId} from "../src/types/Ids.sol";
import {Base} from "./base/Base.sol";

/// @dev Takes messages, or refuses them.
contract Receiver {
    ChainId public immutable chain;
    bytes32 public immutable deploymentId;
    bool public closed;
    bytes public last;
    ILightOracle private _oracle;

    error Closed();

    constructor(uint8 id, bytes32 deployment) {
        chain = ChainId.wrap(id);
        deploymentId = deployment;
    }

    function use(ILightOracle oracle) external {
        _oracle = oracle;
    }

    function close(bool yes) external {
        closed = yes;
    }

    function send(uint8 destination, bytes calldata payload) external payable {
        _oracle.send{value: msg.value}(ChainId.wrap(destination), payload);
    }

    function onMessage(ChainId source, bytes calldata payload) external {
        if (closed) revert Closed();
        last = abi.encode(msg.sender, source, payload);
    }
}

contract LightOracleTest is Base {
    bytes32 private constant ID = bytes32(uint256(0x1d));
    uint256 private constant HALF =
        0x7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0;
    uint256 private constant ORDER =
        0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;
    ILightOracle private oracle;
    Receiver private receiver;
    uint256[5] private keys;

    function setUp() public {
        for (uint256 i = 0; i < 5; ++i) {
            keys[i] = 1000 + i;
        }
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 j = i + 1; j < 5; ++j) {
                if (vm.addr(keys[j]) < vm.addr(keys[i])) (keys[i], keys[j]) = (keys[j], keys[i]);
            }
        }
        receiver = new Receiver(2, ID);
        oracle = _oracleFor(receiver);
        receiver.use(oracle);
    }

    function _attesters() private view returns (address[] memory attesters) {
        attesters = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            attesters[i] = vm.addr(keys[i]);
        }
    }

    function _oracleFor(Receiver endpoint) private returns (ILightOracle) {
        bytes memory arguments = abi.encode(address(endpoint), _attesters(), 3);
        return ILightOracle(deploy("LightOracle", arguments));
    }

    function _deliver(
        ILightOracle to,
        uint8 source,
        uint64 n,
        bytes memory payload,
        bytes[] memory s
    ) private {
        (bytes[] memory payloads, bytes[][] memory lists) = (new bytes[](1), new bytes[][](1));
        (payloads[0], lists[0]) = (payload, s);
        to.deliver(C(source), n, payloads, lists);
    }

    function testTheDigestIsTheSpecifiedOne() public view {
        bytes memory payload = "payload";
        bytes32 expected = keccak256(
            abi.encode(
                keccak256("zkLink LightOracle"),
                ID,
                address(oracle),
                uint256(1),
                uint256(2),
                uint256(9),
                keccak256(payload)
            )
        );
        eq(oracle.digest(C(1), 9, payload), expected, "digest");
    }

    function testDeliversWithEnoughSignatures() public {
        vm.expectEmit(address(oracle));
        emit ILightOracle.MessageDelivered(1, 0, "hello");
        _deliver(oracle, 1, 0, "hello", _sign(1, 0, "hello", 0, 3));
        eq(
            keccak256(receiver.last()),
            keccak256(abi.encode(address(oracle), uint8(1), bytes("hello"))),
            "received"
        );
        eq(oracle.deliveredHash(C(1), 0), keccak256("hello"), "remembered");
        _deliver(oracle, 1, 1, "again", _sign(1, 1, "again", 0, 5));
        eq(oracle.deliveredCount(C(1)), 2, "count");
        _deliver(oracle, 3, 0, "other source", _sign(3, 0, "other source", 1, 3));
    }

    function testRefusesReplayAndGaps() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        _deliver(oracle, 1, 0, "a", signatures);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.OutOfOrder.selector, 1, 1, 0));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures = _sign(1, 2, "a", 0, 3);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.OutOfOrder.selector, 1, 1, 2));
        _deliver(oracle, 1, 2, "a", signatures);
    }

    function testRefusesTooFewDoubleUnsortedOrForeignSigners() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 2);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotEnoughSignatures.selector, 2, 3));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        signatures[2] = signatures[1];
        address same = vm.addr(keys[1]);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.SignersNotAscending.selector, 2, same));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        address low = vm.addr(keys[0]);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.SignersNotAscending.selector, 1, low));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        bytes32 digest = oracle.digest(C(1), 0, "a");
        signatures[1] = _one(7777, digest);
        vm.expectRevert(
            abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 1, vm.addr(7777))
        );
        _deliver(oracle, 1, 0, "a", signatures);
    }

    function testSignaturesHaveOneForm() public {
        bytes32 digest = oracle.digest(C(1), 0, "a");
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[0], digest);
        bytes32 high = bytes32(ORDER - uint256(s));
        signatures[0] = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures[0] = abi.encodePacked(r, s, v - 27);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        _deliver(oracle, 1, 0, "a", signatures);
        signatures[0] = abi.encodePacked(r, s, v, uint8(0));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        _deliver(oracle, 1, 0, "a", signatures);
    }

    function testSignaturesBindEverything() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        _deliver(oracle, 1, 0, "b", signatures);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        _deliver(oracle, 3, 0, "a", signatures);
        // Another deployment, another destination, and another oracle of the same two.
        for (uint256 i = 0; i < 3; ++i) {
            bytes32 id = i == 0 ? bytes32(uint256(0x1e)) : ID;
            ILightOracle other = _oracleFor(new Receiver(i == 1 ? 4 : 2, id));
            vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
            _deliver(other, 1, 0, "a", signatures);
        }
    }

    function testDeliversRanges() public {
        bytes[] memory payloads = new bytes[](3);
        bytes[][] memory lists = new bytes[][](3);
        for (uint64 i = 0; i < 3; ++i) {
            payloads[i] = abi.encode(i);
            lists[i] = _sign(1, i, payloads[i], 0, 3);
        }
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.ListLength.selector, 3, 2));
        oracle.deliver(C(1), 0, payloads, new bytes[][](2));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.ListLength.selector, 0, 0));
        oracle.deliver(C(1), 0, new bytes[](0), new bytes[][](0));
        (lists[1], lists[2]) = (lists[2], lists[1]);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        oracle.deliver(C(1), 0, payloads, lists);
        (lists[1], lists[2]) = (lists[2], lists[1]);
        oracle.deliver(C(1), 0, payloads, lists);
        eq(oracle.deliveredCount(C(1)), 3, "count");
        eq(oracle.deliveredHash(C(1), 2), keccak256(payloads[2]), "last");
    }

    function testTheAttestersAreListed() public view {
        address[] memory listed = oracle.attesters();
        eq(listed.length, 5, "all of them");
        for (uint256 i = 0; i < 5; ++i) {
            eq(listed[i], vm.addr(keys[i]), "in ascending order");
            vm.assertTrue(oracle.isAttester(listed[i]), "each is one");
        }
        bytes32 expected = keccak256(
            abi.encode(
                keccak256("zkLink LightOracle"), uint8(2), ID, address(receiver), 3, _attesters()
            )
        );
        eq(oracle.identity(), expected, "identity");
    }

    function testTakesNoCoins() public {
        vm.deal(address(this), 1);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NoFee.selector, 1));
        receiver.send{value: 1}(1, "x");
    }

    function testARefusedMessageCanBeTriedAgain() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        receiver.close(true);
        vm.expectRevert(Receiver.Closed.selector);
        _deliver(oracle, 1, 0, "a", signatures);
        eq(oracle.deliveredCount(C(1)), 0, "not delivered");
        receiver.close(false);
        _deliver(oracle, 1, 0, "a", signatures);
        eq(oracle.deliveredCount(C(1)), 1, "delivered");
    }

    function testSendKeepsAHistoryPerDestination() public {
        vm.expectEmit(address(oracle));
        emit ILightOracle.MessageSent(1, 0, "x");
        receiver.send(1, "x");
        receiver.send(1, "y");
        receiver.send(3, "z");
        eq(oracle.sentHash(C(1), 0), keccak256("x"), "first");
        eq(oracle.sentHash(C(1), 1), keccak256("y"), "second");
        eq(oracle.sentHash(C(3), 0), keccak256("z"), "other destination");
        eq(oracle.sentCount(C(1)), 2, "count");
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.Forbidden.selector, address(this)));
        oracle.send(C(1), "mine");
        uint8[3] memory bad = [0, 2, 64];
        for (uint256 i = 0; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(ILightOracle.BadChain.selector, bad[i]));
            receiver.send(bad[i], "x");
            vm.expectRevert(abi.encodeWithSelector(ILightOracle.BadChain.selector, bad[i]));
            _deliver(oracle, bad[i], 0, "x", new bytes[](3));
        }
    }

    function testConnectsItsEndpointWithOtherChains() public view {
        address endpoint = address(receiver);
        vm.assertTrue(oracle.connects(endpoint, ID, C(2), C(1)), "connects");
        vm.assertFalse(oracle.connects(address(this), ID, C(2), C(1)), "another endpoint");
        vm.assertFalse(oracle.connects(endpoint, 0, C(2), C(1)), "another deployment");
        vm.assertFalse(oracle.connects(endpoint, ID, C(3), C(1)), "another chain");
        vm.assertFalse(oracle.connects(endpoint, ID, C(2), C(2)), "itself");
        vm.assertFalse(oracle.connects(endpoint, ID, C(2), C(64)), "no chain");
        eq(oracle.peer(endpoint), address(0), "the other end is elsewhere");
    }

    function testConstructorRefusesUnusableSets() public {
        address[] memory two = new address[](2);
        two[0] = vm.addr(keys[0]);
        two[1] = vm.addr(keys[1]);
        _refused(address(0xeeee), two, 1);
        _refused(address(receiver), two, 0);
        _refused(address(receiver), two, 3);
        (two[0], two[1]) = (two[1], two[0]);
        _refused(address(receiver), two, 1);
        two[1] = two[0];
        _refused(address(receiver), two, 1);
        two[0] = address(0);
        _refused(address(receiver), two, 1);
    }

    function make(address endpoint, address[] memory attesters, uint256 k) external {
        deploy("LightOracle", abi.encode(endpoint, attesters, k));
    }

    function _refused(address endpoint, address[] memory attesters, uint256 k) private {
        vm.expectRevert(ILightOracle.BadConfiguration.selector);
        this.make(endpoint, attesters, k);
    }

    function _sign(uint8 source, uint64 sequence, bytes memory payload, uint256 from, uint256 count)
        private
        view
        returns (bytes[] memory signatures)
    {
        bytes32 digest = oracle.digest(C(source), sequence, payload);
        signatures = new bytes[](count);
        for (uint256 i = 0; i < count; ++i) {
            signatures[i] = _one(keys[from + i], digest);
        }
    }

    function _one(uint256 key, bytes32 digest) private pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }
}
