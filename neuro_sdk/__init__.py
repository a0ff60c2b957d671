"""Async blob storage: buckets, blobs, whole trees and credentials behind one API."""
