//! A bound on the work of comparing URIs with patterns.

/// How much may be done to decide about one request body, in steps of about 2 ns. What is not
/// decided by then counts as a URI that may mean any resource.
const MAX_STEPS: usize = 2_000_000;

/// The work that is left for one request body, counted in steps and not in time, so that the same
/// body always gets the same answer.
#[derive(Debug)]
pub(super) struct MatchBudget {
    steps: usize,
}

/// The budget is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BudgetSpent;

impl MatchBudget {
    pub(super) fn new() -> Self {
        Self::of(MAX_STEPS)
    }

    pub(super) fn of(steps: usize) -> Self {
        Self { steps }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.steps == 0
    }

    /// Takes as many steps. Once there are not enough of them, none is left.
    pub(super) fn spend(&mut self, steps: usize) -> Result<(), BudgetSpent> {
        match self.steps.checked_sub(steps) {
            Some(left) => {
                self.steps = left;
                Ok(())
            }
            None => {
                self.steps = 0;
                Err(BudgetSpent)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_spent_it_stays_spent() {
        let mut budget = MatchBudget::of(10);
        assert_eq!([budget.spend(4), budget.spend(6)], [Ok(()), Ok(())]);
        assert_eq!([budget.spend(0), budget.spend(1)], [Ok(()), Err(BudgetSpent)]);
        let mut budget = MatchBudget::of(10);
        assert_eq!([budget.spend(11), budget.spend(1)], [Err(BudgetSpent); 2]);
        assert!(budget.is_spent());
    }
}
