//! Small contracts, assembled by hand.

/// Wraps runtime code (at most 255 bytes) into the init code that deploys it.
pub(crate) fn init(runtime: &[u8]) -> Vec<u8> {
    let length = u8::try_from(runtime.len()).expect("the test contracts are short");
    // PUSH length, DUP1, PUSH 11, PUSH 0, CODECOPY, PUSH 0, RETURN: 11 bytes, then the code.
    let mut code = vec![0x60, length, 0x80, 0x60, 11, 0x60, 0, 0x39, 0x60, 0, 0xf3];
    code.extend(runtime);
    code
}

/// The topic of the counter's only event.
pub(crate) const COUNTED: u8 = 0x2a;

/// Called without data, adds 1 to slot 0, emits the sum and returns it. With data, reverts with
/// just that data.
pub(crate) fn counter() -> Vec<u8> {
    let mut code = vec![0x36, 0x60, 0x1e, 0x57]; // CALLDATASIZE, jump to the revert if not 0
    code.extend([0x60, 0, 0x54, 0x60, 1, 0x01, 0x80, 0x60, 0, 0x55]); // slot 0 += 1
    code.extend([0x60, 0, 0x52]); // memory[0..32] = the sum
    code.extend([0x60, COUNTED, 0x60, 32, 0x60, 0, 0xa1]); // LOG1
    code.extend([0x60, 32, 0x60, 0, 0xf3]); // RETURN
    code.push(0x00);
    assert_eq!(code.len(), 0x1e);
    code.extend([0x5b, 0x36, 0x60, 0, 0x60, 0, 0x37, 0x36, 0x60, 0, 0xfd]); // REVERT with the data
    code
}

/// Called with n, calls itself with n - 1 and fails if that fails; with 0, writes to slot 0.
pub(crate) fn nested() -> Vec<u8> {
    let mut code = vec![0x60, 0, 0x35, 0x80, 0x60, 0x0d, 0x57]; // n; jump if not 0
    code.extend([0x60, 1, 0x60, 0, 0x55, 0x00]); // slot 0 = 1, STOP
    assert_eq!(code.len(), 0x0d);
    code.extend([0x5b, 0x60, 1, 0x90, 0x03, 0x60, 0, 0x52]); // memory[0..32] = n - 1
    code.extend([0x60, 0, 0x60, 0, 0x60, 32, 0x60, 0, 0x60, 0, 0x30, 0x5a, 0xf1]); // CALL self
    code.extend([0x60, 0x2a, 0x57, 0x60, 0, 0x60, 0, 0xfd]); // REVERT unless it succeeded
    assert_eq!(code.len(), 0x2a);
    code.extend([0x5b, 0x00]);
    code
}
