"""CardioUQ: from cardiac MRI scans to tables and figures on segmentation uncertainty."""
