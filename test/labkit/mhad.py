class MhadMixin: pass
