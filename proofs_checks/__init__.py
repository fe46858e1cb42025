"""The theory of the paper as executable claims.

Read in this order: `README.md` (the theory, corrected), `ledger.yaml` (what is claimed, and where), `judge` (how a claim is
decided), then one module a subject: `theorem_1`, `theorem_2`, `theorem_3`, `ridge` (Eq. 9 and Theorem 4), `theorem_5`, `cost`,
`geometry`, `beyond`.
"""
