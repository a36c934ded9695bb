// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {ILightOracle} from "../src/interfaces/ILightOracle.sol";
import {ChainId} from "../src/types/Ids.sol";
import {Base} from "./base/Base.sol";

/// @dev Takes messages, or refuses them.
contract Receiver {
    ChainId public immutable chain;
    bool public closed;
    bytes public last;
    ILightOracle private _oracle;

    error Closed();

    constructor(uint8 id) {
        chain = ChainId.wrap(id);
    }

    function use(ILightOracle oracle) external {
        _oracle = oracle;
    }

    function close(bool yes) external {
        closed = yes;
    }

    function send(uint8 destination, bytes calldata payload) external {
        _oracle.send(ChainId.wrap(destination), payload);
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
        address[] memory attesters = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            keys[i] = 1000 + i;
            attesters[i] = vm.addr(keys[i]);
        }
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 j = i + 1; j < 5; ++j) {
                if (vm.addr(keys[j]) < vm.addr(keys[i])) (keys[i], keys[j]) = (keys[j], keys[i]);
            }
        }
        oracle = ILightOracle(deploy("LightOracle", abi.encode(uint8(2), ID, attesters, 3)));
        receiver = new Receiver(2);
        receiver.use(oracle);
        oracle.bind(address(receiver));
    }

    function testTheDigestIsTheSpecifiedOne() public view {
        bytes memory payload = "payload";
        bytes32 expected = keccak256(
            abi.encode(
                keccak256("zkLink LightOracle"),
                ID,
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
        oracle.deliver(C(1), 0, "hello", _sign(1, 0, "hello", 0, 3));
        eq(
            keccak256(receiver.last()),
            keccak256(abi.encode(address(oracle), uint8(1), bytes("hello"))),
            "received"
        );
        eq(oracle.deliveredHash(C(1), 0), keccak256("hello"), "remembered");
        oracle.deliver(C(1), 1, "again", _sign(1, 1, "again", 0, 5));
        eq(oracle.deliveredCount(C(1)), 2, "count");
        oracle.deliver(C(3), 0, "other source", _sign(3, 0, "other source", 1, 3));
    }

    function testRefusesReplayAndGaps() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        oracle.deliver(C(1), 0, "a", signatures);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.OutOfOrder.selector, 1, 1, 0));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures = _sign(1, 2, "a", 0, 3);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.OutOfOrder.selector, 1, 1, 2));
        oracle.deliver(C(1), 2, "a", signatures);
    }

    function testRefusesTooFewDoubleUnsortedOrForeignSigners() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 2);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotEnoughSignatures.selector, 2, 3));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        signatures[2] = signatures[1];
        address same = vm.addr(keys[1]);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.SignersNotAscending.selector, 2, same));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        (signatures[0], signatures[1]) = (signatures[1], signatures[0]);
        address low = vm.addr(keys[0]);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.SignersNotAscending.selector, 1, low));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures = _sign(1, 0, "a", 0, 3);
        bytes32 digest = oracle.digest(C(1), 0, "a");
        signatures[1] = _one(7777, digest);
        vm.expectRevert(
            abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 1, vm.addr(7777))
        );
        oracle.deliver(C(1), 0, "a", signatures);
    }

    function testSignaturesHaveOneForm() public {
        bytes32 digest = oracle.digest(C(1), 0, "a");
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(keys[0], digest);
        bytes32 high = bytes32(ORDER - uint256(s));
        signatures[0] = abi.encodePacked(r, high, v == 27 ? uint8(28) : uint8(27));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures[0] = abi.encodePacked(r, s, v - 27);
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        oracle.deliver(C(1), 0, "a", signatures);
        signatures[0] = abi.encodePacked(r, s, v, uint8(0));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.NotAnAttester.selector, 0, address(0)));
        oracle.deliver(C(1), 0, "a", signatures);
    }

    function testSignaturesBindEverything() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        oracle.deliver(C(1), 0, "b", signatures);
        vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
        oracle.deliver(C(3), 0, "a", signatures);
        address[] memory attesters = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            attesters[i] = vm.addr(keys[i]);
        }
        // Another deployment, and another destination.
        for (uint256 i = 0; i < 2; ++i) {
            bytes32 id = i == 0 ? bytes32(uint256(0x1e)) : ID;
            uint8 chain = i == 0 ? 2 : 4;
            ILightOracle other =
                ILightOracle(deploy("LightOracle", abi.encode(chain, id, attesters, 3)));
            other.bind(address(new Receiver(chain)));
            vm.expectPartialRevert(ILightOracle.NotAnAttester.selector);
            other.deliver(C(1), 0, "a", signatures);
        }
    }

    function testARefusedMessageCanBeTriedAgain() public {
        bytes[] memory signatures = _sign(1, 0, "a", 0, 3);
        receiver.close(true);
        vm.expectRevert(Receiver.Closed.selector);
        oracle.deliver(C(1), 0, "a", signatures);
        eq(oracle.deliveredCount(C(1)), 0, "not delivered");
        receiver.close(false);
        oracle.deliver(C(1), 0, "a", signatures);
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
            oracle.deliver(C(bad[i]), 0, "x", new bytes[](3));
        }
    }

    function testBindingHappensOnceByTheDeployer() public {
        address[] memory attesters = new address[](1);
        attesters[0] = vm.addr(1);
        ILightOracle fresh =
            ILightOracle(deploy("LightOracle", abi.encode(uint8(2), ID, attesters, 1)));
        vm.expectRevert(ILightOracle.NotBound.selector);
        fresh.deliver(C(1), 0, "a", new bytes[](1));
        vm.prank(address(0xbad));
        vm.expectRevert(abi.encodeWithSelector(ILightOracle.Forbidden.selector, address(0xbad)));
        fresh.bind(address(receiver));
        Receiver elsewhere = new Receiver(5);
        vm.expectRevert(ILightOracle.NotBound.selector);
        fresh.bind(address(elsewhere));
        vm.expectRevert(ILightOracle.NotBound.selector);
        fresh.bind(address(0xeeee));
        fresh.bind(address(receiver));
        vm.expectRevert(
            abi.encodeWithSelector(ILightOracle.AlreadyBound.selector, address(receiver))
        );
        fresh.bind(address(receiver));
    }

    function testConstructorRefusesUnusableSets() public {
        address[] memory two = new address[](2);
        two[0] = vm.addr(1);
        two[1] = vm.addr(2);
        _refused(uint8(0), ID, two, 1);
        _refused(uint8(64), ID, two, 1);
        _refused(uint8(1), 0, two, 1);
        _refused(uint8(1), ID, two, 0);
        _refused(uint8(1), ID, two, 3);
        two[1] = two[0];
        _refused(uint8(1), ID, two, 1);
        two[1] = address(0);
        _refused(uint8(1), ID, two, 1);
    }

    function make(uint8 chain, bytes32 id, address[] memory attesters, uint256 k) external {
        deploy("LightOracle", abi.encode(chain, id, attesters, k));
    }

    function _refused(uint8 chain, bytes32 id, address[] memory attesters, uint256 k) private {
        vm.expectRevert(ILightOracle.BadConfiguration.selector);
        this.make(chain, id, attesters, k);
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
