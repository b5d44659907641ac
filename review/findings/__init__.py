"""The content of a review: findings with a kind, a severity and a sentence that marks values of the plan as such.

Imports: nothing.
"""
