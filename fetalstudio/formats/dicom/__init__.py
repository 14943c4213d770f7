"""DICOM: files, objects with frames, segmentations, and the export of both."""
