"""What exports share: folders, pairs, data cards, and what each format can carry."""
