//! The linear combinations of a Poseidon2 compression, worked out once for each width.

use zklink::hash::poseidon2::{Parameters, external_matrix};
use zklink::hash::{Domain, Fr};

/// What a term of a plan stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// The constant one.
    One,
    /// Lane 0 or 1 of the input, which are fed forward to the output.
    Forward(usize),
    /// The variable `next` of an S-box.
    Next(usize),
}

pub(super) type Terms = Vec<(Slot, Fr)>;

/// How many lanes are fed forward.
const FORWARD: usize = 2;

/// One S-box: its input and its fifth power as linear combinations.
#[derive(Debug)]
pub(super) struct PlannedBox {
    /// Empty for the first round, whose inputs depend on the lanes that are given.
    pub(super) input: Terms,
    /// Empty for the output's S-box, whose result depends on the domain.
    pub(super) result: Terms,
}

/// The values of one S-box: its input, and the three variables that it allocates.
#[derive(Clone, Copy)]
pub(super) struct Row {
    pub(super) square: Fr,
    pub(super) fourth: Fr,
    pub(super) next: Fr,
}

/// All S-boxes of a compression in order: rounds one after another, lanes within a round.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) boxes: Vec<PlannedBox>,
    /// The S-box whose `next` is the output: lane 0 of the last round.
    pub(super) output_box: usize,
    /// The result of that S-box for each domain, in the order of their numbers.
    pub(super) output_results: [Terms; Domain::ALL.len()],
}

/// Coefficients over all slots: [one, forward lanes, next of box 0, next of box 1, ..].
type Dense = Vec<Fr>;

struct Planner<'a, const T: usize> {
    parameters: &'a Parameters<T>,
    matrix: [[Fr; T]; T],
    inverse: [[Fr; T]; T],
    slots: usize,
    /// The inputs of the next round's S-boxes, or the whole state in partial rounds.
    state: Vec<Dense>,
    boxes: Vec<PlannedBox>,
}

impl Plan {
    pub(super) fn of<const T: usize>(parameters: &Parameters<T>) -> Self {
        let matrix = external_matrix::<T>().map(|row| row.map(Fr::from));
        let count = 8 * T + parameters.partial.len();
        let mut planner = Planner {
            parameters,
            matrix,
            inverse: inverted(matrix),
            slots: 1 + FORWARD + count,
            state: vec![vec![Fr::zero(); 1 + FORWARD + count]; T],
            boxes: Vec::with_capacity(count),
        };
        for after in constants_after_first_rounds(parameters) {
            planner.full_round(&after);
        }
        planner.partial_rounds();
        for after in &parameters.last_full[1..] {
            planner.full_round(after);
        }
        let output_box = planner.boxes.len();
        planner.last_round();
        let output_results =
            Domain::ALL.map(|domain| planner.output_result(output_box, domain.tag()));
        Self { boxes: planner.boxes, output_box, output_results }
    }
}

/// What is added after the linear layer of each of the first four rounds, so that the state is then
/// what the next S-boxes take.
fn constants_after_first_rounds<const T: usize>(parameters: &Parameters<T>) -> Vec<[Fr; T]> {
    let mut after = parameters.first_full[1..].to_vec();
    let mut first_partial = [Fr::zero(); T];
    first_partial[0] = parameters.partial[0];
    after.push(first_partial);
    after
}

/// What is added after partial round `round` to lane 0, and after the last one to all lanes.
fn constants_after_partial<const T: usize>(parameters: &Parameters<T>, round: usize) -> [Fr; T] {
    match parameters.partial.get(round + 1) {
        None => parameters.last_full[0],
        Some(constant) => {
            let mut after = [Fr::zero(); T];
            after[0] = *constant;
            after
        }
    }
}

impl<const T: usize> Planner<'_, T> {
    fn single(&self, slot: usize) -> Dense {
        let mut dense = vec![Fr::zero(); self.slots];
        dense[slot] = Fr::one();
        dense
    }

    fn next_of(&self, index: usize) -> Dense {
        self.single(1 + FORWARD + index)
    }

    fn push(&mut self, input: &Dense, result: &Dense) {
        self.boxes.push(PlannedBox { input: sparse(input), result: sparse(result) });
    }

    /// `next = matrix * results + after`, so `results = inverse * (next - after)`.
    fn full_round(&mut self, after: &[Fr; T]) {
        let start = self.boxes.len();
        let next: Vec<Dense> = (0..T).map(|lane| self.next_of(start + lane)).collect();
        for lane in 0..T {
            let mut result = vec![Fr::zero(); self.slots];
            for (column, factor) in self.inverse[lane].into_iter().enumerate() {
                add_scaled(&mut result, factor, &next[column]);
                result[0] -= factor * after[column];
            }
            let input = self.state[lane].clone();
            self.push(&input, &result);
        }
        self.state = next;
    }

    /// `next = (diagonal[0] + 1) * result + rest + after` with `rest` the sum of the other lanes.
    fn partial_rounds(&mut self) {
        let diagonal = self.parameters.diagonal;
        let scale = (diagonal[0] + Fr::one()).invert();
        let scale = scale.into_option().expect("the internal matrix of Poseidon2 allows it");
        for round in 0..self.parameters.partial.len() {
            let after = constants_after_partial(self.parameters, round);
            let mut rest = vec![Fr::zero(); self.slots];
            for lane in &self.state[1..] {
                add_scaled(&mut rest, Fr::one(), lane);
            }
            let next = self.next_of(self.boxes.len());
            let mut result = vec![Fr::zero(); self.slots];
            add_scaled(&mut result, scale, &next);
            add_scaled(&mut result, -scale, &rest);
            result[0] -= scale * after[0];
            let input = std::mem::replace(&mut self.state[0], next);
            self.push(&input, &result);
            for lane in 1..T {
                let mut sum = rest.clone();
                add_scaled(&mut sum, Fr::one(), &result);
                add_scaled(&mut sum, diagonal[lane], &self.state[lane]);
                sum[0] += after[lane];
                self.state[lane] = sum;
            }
        }
    }

    /// The results of lanes 1.. are variables themselves; that of lane 0 depends on the domain.
    fn last_round(&mut self) {
        let start = self.boxes.len();
        for lane in 0..T {
            let result =
                if lane == 0 { vec![Fr::zero(); self.slots] } else { self.next_of(start + lane) };
            let input = self.state[lane].clone();
            self.push(&input, &result);
        }
    }

    /// The result of lane 0 in the last round, which starts at S-box `start`:
    /// `output = weights * results + forward[0] + tag * forward[1]` is solved for it, where
    /// `weights` is row 0 of the matrix plus `tag` times row 1.
    fn output_result(&self, start: usize, tag: Fr) -> Terms {
        let weight = |lane: usize| self.matrix[0][lane] + tag * self.matrix[1][lane];
        let scale = weight(0).invert().into_option().expect("no tag is the quotient of entries");
        let mut result = vec![Fr::zero(); self.slots];
        add_scaled(&mut result, scale, &self.next_of(start));
        result[1] -= scale;
        result[2] -= scale * tag;
        for lane in 1..T {
            add_scaled(&mut result, -scale * weight(lane), &self.next_of(start + lane));
        }
        sparse(&result)
    }
}

fn add_scaled(sum: &mut Dense, factor: Fr, part: &Dense) {
    for (place, coefficient) in sum.iter_mut().zip(part) {
        *place += factor * coefficient;
    }
}

fn sparse(dense: &Dense) -> Terms {
    let slot = |index: usize| match index {
        0 => Slot::One,
        forward @ 1..=FORWARD => Slot::Forward(forward - 1),
        other => Slot::Next(other - 1 - FORWARD),
    };
    let terms = dense.iter().enumerate().filter(|(_, factor)| **factor != Fr::zero());
    terms.map(|(index, factor)| (slot(index), *factor)).collect()
}

/// The inverse of a matrix by Gauss-Jordan elimination.
fn inverted<const T: usize>(mut matrix: [[Fr; T]; T]) -> [[Fr; T]; T] {
    let mut inverse = [[Fr::zero(); T]; T];
    for (index, row) in inverse.iter_mut().enumerate() {
        row[index] = Fr::one();
    }
    for pivot in 0..T {
        let chosen = (pivot..T).find(|row| matrix[*row][pivot] != Fr::zero());
        let chosen = chosen.expect("the external matrix is invertible");
        matrix.swap(pivot, chosen);
        inverse.swap(pivot, chosen);
        let scale = matrix[pivot][pivot].invert().into_option().expect("a pivot is not zero");
        matrix[pivot] = matrix[pivot].map(|entry| entry * scale);
        inverse[pivot] = inverse[pivot].map(|entry| entry * scale);
        let (pivot_row, pivot_inverse) = (matrix[pivot], inverse[pivot]);
        for row in (0..T).filter(|row| *row != pivot) {
            let factor = matrix[row][pivot];
            for column in 0..T {
                matrix[row][column] -= factor * pivot_row[column];
                inverse[row][column] -= factor * pivot_inverse[column];
            }
        }
    }
    inverse
}

/// The values of all S-boxes, from the inputs of the first round, lanes 0 and 1 of the compression's
/// input, and the tag of its domain.
pub(super) fn rows<const T: usize>(
    parameters: &Parameters<T>,
    mut state: [Fr; T],
    forward: [Fr; FORWARD],
    tag: Fr,
) -> Vec<Row> {
    let mut rows = Vec::with_capacity(8 * T + parameters.partial.len());
    for after in constants_after_first_rounds(parameters) {
        full_rows(&mut rows, &mut state, &after);
    }
    for round in 0..parameters.partial.len() {
        let after = constants_after_partial(parameters, round);
        partial_rows(&mut rows, &mut state, &parameters.diagonal, &after);
    }
    for after in &parameters.last_full[1..] {
        full_rows(&mut rows, &mut state, after);
    }
    // In the last round `next` is the output in lane 0 and the fifth power itself in the others.
    let start = rows.len();
    let results = state.map(|input| fifth(&mut rows, input));
    full_rows_linear(&mut state, results);
    rows[start].next = state[0] + forward[0] + tag * (state[1] + forward[1]);
    for lane in 1..T {
        rows[start + lane].next = results[lane];
    }
    rows
}

/// Pushes the row of one S-box, its `next` still missing, and returns the fifth power.
fn fifth(rows: &mut Vec<Row>, input: Fr) -> Fr {
    let square = input.square();
    let fourth = square.square();
    rows.push(Row { square, fourth, next: Fr::zero() });
    fourth * input
}

fn full_rows_linear<const T: usize>(state: &mut [Fr; T], results: [Fr; T]) {
    *state = results;
    zklink::hash::poseidon2::multiply_external(state);
}

fn full_rows<const T: usize>(rows: &mut Vec<Row>, state: &mut [Fr; T], after: &[Fr; T]) {
    let start = rows.len();
    let results = state.map(|input| fifth(rows, input));
    full_rows_linear(state, results);
    for lane in 0..T {
        state[lane] += after[lane];
        rows[start + lane].next = state[lane];
    }
}

fn partial_rows<const T: usize>(
    rows: &mut Vec<Row>,
    state: &mut [Fr; T],
    diagonal: &[Fr; T],
    after: &[Fr; T],
) {
    state[0] = fifth(rows, state[0]);
    let sum: Fr = state.iter().sum();
    for lane in 0..T {
        state[lane] = state[lane] * diagonal[lane] + sum + after[lane];
    }
    rows.last_mut().expect("just pushed").next = state[0];
}
