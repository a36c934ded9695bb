//! Square matrices over the field, as far as the checks need them.

use zklink::hash::Fr;

pub(super) type Matrix<const T: usize> = [[Fr; T]; T];

/// The all-one matrix plus a diagonal.
pub(super) fn internal<const T: usize>(diagonal: &[Fr; T]) -> Matrix<T> {
    let mut matrix = [[Fr::one(); T]; T];
    for (place, entry) in diagonal.iter().enumerate() {
        matrix[place][place] += entry;
    }
    matrix
}

pub(super) fn product<const T: usize>(left: &Matrix<T>, right: &Matrix<T>) -> Matrix<T> {
    left.map(|row| {
        std::array::from_fn(|column| {
            row.iter().zip(right).map(|(of, below)| of * below[column]).sum()
        })
    })
}

fn image<const T: usize>(matrix: &Matrix<T>, vector: &[Fr; T]) -> [Fr; T] {
    matrix.map(|row| row.iter().zip(vector).map(|(of, part)| of * part).sum())
}

/// The coefficients of the characteristic polynomial, lowest first, without the leading one.
///
/// `None` when the first unit vector and its images span a proper subspace, which is then invariant: the
/// polynomial has a factor. Otherwise the polynomial says how the image number T is made of the ones before.
pub(super) fn characteristic_polynomial<const T: usize>(matrix: &Matrix<T>) -> Option<[Fr; T]> {
    let mut vector = [Fr::zero(); T];
    vector[0] = Fr::one();
    let mut images = Vec::with_capacity(T);
    for _ in 0..T {
        images.push(vector);
        vector = image(matrix, &vector);
    }
    // The columns are the images; the last one is what is to be combined.
    let rows = (0..T).map(|row| images.iter().chain([&vector]).map(|image| image[row]).collect());
    let combined = solved(rows.collect())?;
    Some(std::array::from_fn(|place| -combined[place]))
}

/// Whether the determinant is not zero.
pub(super) fn is_invertible<const T: usize>(matrix: &Matrix<T>) -> bool {
    with_right_side(matrix.iter().map(|row| row.to_vec()).collect()).is_some()
}

/// Whether every square part of the matrix is invertible: then it is MDS.
pub(super) fn is_mds<const T: usize>(matrix: &Matrix<T>) -> bool {
    let chosen = |set: usize| (0..T).filter(move |place| set >> place & 1 == 1);
    let sets = || 1..1usize << T;
    sets().all(|rows| {
        sets().filter(|columns| columns.count_ones() == rows.count_ones()).all(|columns| {
            let part = chosen(rows).map(|row| chosen(columns).map(|at| matrix[row][at]).collect());
            with_right_side(part.collect()).is_some()
        })
    })
}

fn with_right_side(mut rows: Vec<Vec<Fr>>) -> Option<Vec<Fr>> {
    for row in &mut rows {
        row.push(Fr::zero());
    }
    solved(rows)
}

/// Solves equations, each a row of coefficients and its right side, by Gauss-Jordan elimination. `None` when
/// they have not exactly one solution.
fn solved(mut rows: Vec<Vec<Fr>>) -> Option<Vec<Fr>> {
    let count = rows.len();
    for pivot in 0..count {
        let chosen = (pivot..count).find(|row| rows[*row][pivot] != Fr::zero())?;
        rows.swap(pivot, chosen);
        let scale = rows[pivot][pivot].invert().into_option()?;
        for entry in &mut rows[pivot] {
            *entry *= scale;
        }
        let cleared = rows[pivot].clone();
        for (_, row) in rows.iter_mut().enumerate().filter(|(row, _)| *row != pivot) {
            let factor = row[pivot];
            for (entry, of) in row.iter_mut().zip(&cleared) {
                *entry -= factor * of;
            }
        }
    }
    Some(rows.into_iter().map(|row| row[count]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(rows: [[i64; 2]; 2]) -> Matrix<2> {
        rows.map(|row| row.map(element))
    }

    fn element(of: i64) -> Fr {
        let size = Fr::from(of.unsigned_abs());
        if of < 0 { -size } else { size }
    }

    #[test]
    fn characteristic_polynomials_are_determinant_and_trace() {
        let matrix = small([[1, 2], [3, 4]]);
        assert_eq!(characteristic_polynomial(&matrix), Some([element(-2), element(-5)]));
        assert_eq!(characteristic_polynomial(&small([[1, 2], [0, 4]])), None);
        assert_eq!(product(&matrix, &matrix), small([[7, 10], [15, 22]]));
    }

    #[test]
    fn invertible_and_mds_are_told_apart() {
        assert!(is_invertible(&small([[1, 0], [0, 1]])) && !is_mds(&small([[1, 0], [0, 1]])));
        assert!(!is_invertible(&small([[1, 2], [2, 4]])));
        assert!(is_mds(&small([[2, 1], [1, 2]])));
    }
}
