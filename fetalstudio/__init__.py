"""FetalStudio: draw fetal head ellipses, synthesise matching ultrasound, fine-tune SAM."""

__version__ = "0.1.0"
