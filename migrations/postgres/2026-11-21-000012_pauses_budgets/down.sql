DROP TABLE budgets;
DROP TABLE account_pauses;
